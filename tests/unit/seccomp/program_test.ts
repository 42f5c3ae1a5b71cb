import assert from "node:assert/strict";
import { callNumber, callNumbers } from "../../../lib/seccomp/calls.ts";
import { filterProgram } from "../../../lib/seccomp/program.ts";
import { type CallRules, rulesOf } from "../../../lib/seccomp/rules.ts";
import { decide, decideNamed } from "../../support/seccomp.ts";

const AUDIT_ARCH_I386 = 0x40000003;
const AUDIT_ARCH_AARCH64 = 0xc00000b7;
/** __X32_SYSCALL_BIT */
const X32 = 0x40000000;

const read: CallRules = new Map([["read", [[]]]]);
const on = filterProgram(read, "on");

Deno.test("a call that is allowed is, one that is not fails, one of attackers kills", () => {
  assert.equal(decideNamed(on, "read"), "allow");
  assert.equal(decideNamed(on, "write"), "EPERM");
  assert.equal(decideNamed(on, "ptrace"), "kill");
  assert.equal(decideNamed(on, "clone3"), "ENOSYS");
});

Deno.test("numbers that the table does not know are a later kernel's: ENOSYS", () => {
  const known = new Set(callNumbers().values());
  const last = Math.max(...known);
  for (let nr = 0; nr < last + 100; nr++) {
    if (!known.has(nr)) assert.equal(decide(on, { nr }), "ENOSYS", `${nr}`);
  }
  assert.equal(decide(on, { nr: X32 - 1 }), "ENOSYS");
});

Deno.test("calls of other kinds of programs kill, whatever their numbers", () => {
  const nr = callNumber("read");
  for (const arch of [AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, 0]) {
    assert.equal(decide(on, { nr, arch }), "kill", `${arch}`);
  }
  for (const number of [X32, X32 + nr, X32 + 520, 0x80000000, 0xffffffff]) {
    assert.equal(decide(on, { nr: number }), "kill", `${number}`);
  }
});

Deno.test("log allows everything and reports it, strict kills", () => {
  const log = filterProgram(read, "log");
  const strict = filterProgram(read, "strict");
  const others = [{ nr: callNumber("write") }, { nr: callNumber("bpf") }, { nr: 5000 }, {
    nr: X32,
  }];
  for (const call of others) {
    assert.equal(decide(log, call), "log");
    assert.equal(decide(strict, call), "kill");
  }
  for (const program of [log, strict]) {
    assert.equal(decideNamed(program, "read"), "allow");
    assert.equal(decideNamed(program, "io_uring_setup"), "ENOSYS", "libraries do without");
  }
});

Deno.test("what is omitted succeeds and is not made, in every mode", () => {
  for (const mode of ["on", "log", "strict"] as const) {
    const program = filterProgram(read, mode, ["setgroups"]);
    assert.equal(decideNamed(program, "setgroups"), "omitted");
    assert.equal(decideNamed(program, "read"), "allow");
  }
  assert.equal(decideNamed(on, "setgroups"), "EPERM");
  assert.equal(decideNamed(filterProgram(read, "on", ["read"]), "read"), "allow");
});

Deno.test("a rule wins over the list of attackers' calls: the operator's word", () => {
  const program = filterProgram(new Map([["keyctl", [[]]]]), "on");
  assert.equal(decideNamed(program, "keyctl"), "allow");
});

Deno.test("all conditions of a clause must hold, of one of the clauses", () => {
  const program = filterProgram(
    new Map([["mmap", [
      [{ argument: 2, mask: 4, equals: 0 }],
      [{ argument: 2, mask: 6, equals: 4 }, { argument: 3, among: [2, 0x812] }],
    ]]]),
    "on",
  );
  const mmap = (prot: number, flags: number) => decideNamed(program, "mmap", 0, 0, prot, flags);
  assert.equal(mmap(3, 0x22), "allow");
  assert.equal(mmap(5, 2), "allow");
  assert.equal(mmap(5, 0x812), "allow");
  assert.equal(mmap(5, 0x22), "EPERM");
  assert.equal(mmap(7, 2), "EPERM");
});

Deno.test("the upper half of an argument does not hide its lower one", () => {
  const rules: CallRules = new Map([["socket", [[{ argument: 0, among: [1] }]]]]);
  const program = filterProgram(rules, "on");
  assert.equal(decideNamed(program, "socket", 1), "allow");
  assert.equal(decideNamed(program, "socket", 1n << 32n | 2n), "EPERM");
  // The kernel takes an int, too: this is AF_UNIX for both.
  assert.equal(decideNamed(program, "socket", 1n << 32n | 1n), "allow");
});

Deno.test("lists of any length are searched to the last value", () => {
  for (const length of [1, 8, 9, 100, 300]) {
    const values = Array.from({ length }, (_, index) => 0xc0000000 + index * 7919);
    const program = filterProgram(new Map([["ioctl", [[{ argument: 1, among: values }]]]]), "on");
    for (const value of values) {
      assert.equal(decideNamed(program, "ioctl", 0, value), "allow", `${length}`);
      assert.equal(decideNamed(program, "ioctl", 0, value + 1), "EPERM", `${length}`);
    }
    assert.equal(decideNamed(program, "ioctl", 0, 0), "EPERM");
  }
});

Deno.test("groups: conditions of one call add up, features choose", () => {
  const groups = [
    { why: "", calls: "read ioctl", where: [{ argument: 1, among: [1, 2] }] },
    { why: "", calls: "ioctl", where: [{ argument: 1, among: [3] }], when: "kvm" as const },
    { why: "", calls: "mmap", when: "translation" as const },
  ];
  assert.deepEqual([...rulesOf(groups, [])], [
    ["read", [[{ argument: 1, among: [1, 2] }]]],
    ["ioctl", [[{ argument: 1, among: [1, 2] }]]],
  ]);
  assert.deepEqual(rulesOf(groups, ["kvm"]).get("ioctl"), [[{ argument: 1, among: [1, 2, 3] }]]);
  assert.deepEqual(rulesOf(groups, ["translation"]).get("mmap"), [[]]);
});

Deno.test("a call that there is not is a mistake of ours", () => {
  assert.throws(() => filterProgram(new Map([["reed", [[]]]]), "on"), TypeError);
});
