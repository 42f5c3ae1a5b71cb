import assert from "node:assert/strict";
import fc from "fast-check";
import { arch } from "../../../lib/arch/arch.ts";
import { callNumber, numbersIn } from "../../../lib/seccomp/calls.ts";
import {
  profileFilter,
  SECCOMP_OPERATORS,
  type SeccompArgument,
  type SeccompProfile,
  type SeccompRule,
} from "../../../lib/seccomp/profile.ts";
import { type Call, resultOf } from "../../support/seccomp.ts";

/** linux/seccomp.h */
const [ALLOW, LOG, ERRNO, TRACE, KILL_PROCESS, KILL_THREAD] = [
  ...[0x7fff_0000, 0x7ffc_0000, 0x0005_0000, 0x7ff0_0000, 0x8000_0000, 0],
] as [number, number, number, number, number, number];
const [EPERM, EINVAL, ENOSYS] = [1, 22, 38];
const AUDIT_ARCH_I386 = 0x4000_0003;
const X32 = 0x4000_0000;

function profileOf(changes: Partial<SeccompProfile>): SeccompProfile {
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    architectures: ["SCMP_ARCH_X86_64"],
    flags: [],
    syscalls: [],
    ...changes,
  };
}

const rule = (
  names: string,
  action: SeccompRule["action"],
  ...args: SeccompArgument[]
): SeccompRule => ({ names: names.split(" "), action, args });

const argument = (
  index: number,
  op: SeccompArgument["op"],
  value: number | bigint,
  valueTwo: number | bigint = 0,
): SeccompArgument => ({ index, op, value: BigInt(value), valueTwo: BigInt(valueTwo) });

/** What a call of the profile's kind of program gets. */
function answerOf(profile: SeccompProfile, name: string, ...args: (number | bigint)[]): number {
  return resultOf(profileFilter(profile).program, { nr: callNumber(name), args });
}

Deno.test("a list of what is allowed: others fail, and later kernels' do not exist", () => {
  const profile = profileOf({
    syscalls: [
      rule("read write no_such_call openat2", "SCMP_ACT_ALLOW"),
      { ...rule("socket", "SCMP_ACT_ERRNO"), errnoRet: EINVAL },
      rule("personality", "SCMP_ACT_ALLOW", argument(0, "SCMP_CMP_EQ", 0xffff_ffff)),
      rule("personality", "SCMP_ACT_ALLOW", argument(0, "SCMP_CMP_EQ", 8)),
      rule("clone", "SCMP_ACT_ALLOW", argument(0, "SCMP_CMP_MASKED_EQ", 2_114_060_288, 0)),
    ],
  });
  assert.equal(answerOf(profile, "read"), ALLOW);
  assert.equal(answerOf(profile, "mount"), ERRNO | EPERM);
  assert.equal(answerOf(profile, "socket"), ERRNO | EINVAL);
  assert.equal(answerOf(profile, "personality", 8), ALLOW);
  assert.equal(answerOf(profile, "personality", 0xffff_ffff), ALLOW);
  assert.equal(answerOf(profile, "personality", 9), ERRNO | EPERM);
  assert.equal(answerOf(profile, "personality", 2n ** 32n + 8n), ERRNO | EPERM);
  assert.equal(answerOf(profile, "clone", 0x11), ALLOW);
  assert.equal(answerOf(profile, "clone", 0x1000_0000), ERRNO | EPERM);
  // openat2 is the last that is named.
  assert.equal(answerOf(profile, "openat2"), ALLOW);
  assert.equal(answerOf(profile, "pidfd_getfd"), ERRNO | ENOSYS);
  const { program } = profileFilter(profile);
  assert.equal(resultOf(program, { nr: 9999 }), ERRNO | ENOSYS);
  assert.equal(resultOf(program, { nr: X32 }), ERRNO | EPERM);
});

Deno.test("a list of what is refused: all others are allowed, later kernels' too", () => {
  const profile = profileOf({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [rule("sethostname", "SCMP_ACT_ERRNO"), rule("mount", "SCMP_ACT_KILL_PROCESS")],
  });
  assert.equal(answerOf(profile, "sethostname"), ERRNO | EPERM);
  assert.equal(answerOf(profile, "mount"), KILL_PROCESS);
  assert.equal(answerOf(profile, "read"), ALLOW);
  assert.equal(resultOf(profileFilter(profile).program, { nr: 9999 }), ALLOW);
});

Deno.test("a rule without arguments counts more, and two conditions of one argument are two rules", () => {
  const profile = profileOf({
    syscalls: [
      rule("socket", "SCMP_ACT_KILL", argument(0, "SCMP_CMP_EQ", 16)),
      rule("socket", "SCMP_ACT_ALLOW"),
      rule(
        "ioctl",
        "SCMP_ACT_LOG",
        argument(1, "SCMP_CMP_LT", 10),
        argument(1, "SCMP_CMP_GT", 20),
      ),
      rule("fcntl", "SCMP_ACT_TRACE", argument(0, "SCMP_CMP_EQ", 1), argument(1, "SCMP_CMP_NE", 2)),
    ],
  });
  assert.equal(answerOf(profile, "socket", 16), ALLOW);
  assert.deepEqual([5, 15, 25].map((it) => answerOf(profile, "ioctl", 0, it)), [
    ...[LOG, ERRNO | EPERM, LOG],
  ]);
  assert.equal(answerOf(profile, "fcntl", 1, 3), TRACE | EPERM);
  assert.equal(answerOf(profile, "fcntl", 1, 2), ERRNO | EPERM);
  assert.equal(answerOf(profile, "fcntl", 0, 3), ERRNO | EPERM);
});

Deno.test("programs of 32 bits have their own numbers where the profile is for them, else they are killed", () => {
  const syscalls = [rule("read getuid32", "SCMP_ACT_ALLOW")];
  const numbers = numbersIn(arch.calls.compat.names());
  const call = (name: string): Call => ({ nr: numbers.get(name)!, arch: AUDIT_ARCH_I386 });
  const { program } = profileFilter(
    profileOf({ architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], syscalls }),
  );
  assert.equal(resultOf(program, call("read")), ALLOW);
  assert.equal(resultOf(program, call("getuid32")), ALLOW);
  assert.equal(resultOf(program, call("mount")), ERRNO | EPERM);
  const { program: native } = profileFilter(profileOf({ syscalls }));
  assert.equal(resultOf(native, call("read")), KILL_THREAD);
  assert.equal(resultOf(program, { nr: 0, arch: 0xc000_00b7 }), KILL_THREAD);
});

Deno.test("the table of 32-bit programs' calls is the kernel's, as far as its header goes", () => {
  let header: string;
  try {
    header = Deno.readTextFileSync("/usr/include/x86_64-linux-gnu/asm/unistd_32.h");
  } catch {
    return; // without a compiler there are no headers
  }
  const ours = numbersIn(arch.calls.compat.names());
  const last = Math.max(...ours.values());
  const theirs = [...header.matchAll(/^#define __NR_(\w+) (\d+)$/gm)];
  assert.ok(theirs.length > 400);
  for (const [, name, number] of theirs) {
    if (Number(number) <= last) assert.equal(ours.get(name!), Number(number), name);
  }
});

Deno.test("flags are the kernel's, and the same profile is compiled once", () => {
  const profile = profileOf({
    flags: [
      "SECCOMP_FILTER_FLAG_LOG",
      "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
      "SECCOMP_FILTER_FLAG_TSYNC",
    ],
  });
  assert.equal(profileFilter(profile).flags, 2 | 4);
  assert.equal(profileFilter(profile), profileFilter(profile));
});

Deno.test("a profile that is longer than a kernel takes is refused", () => {
  const values = Array.from({ length: 1200 }, (_, value) => argument(0, "SCMP_CMP_EQ", value));
  const syscalls = values.map((it) => rule("read", "SCMP_ACT_ALLOW", it));
  assert.throws(() => profileFilter(profileOf({ syscalls })), /filter of \d+ instructions/);
});

/** As the documents have it, without a program. */
function holds({ op, value, valueTwo }: SeccompArgument, given: bigint): boolean {
  return {
    SCMP_CMP_NE: given !== value,
    SCMP_CMP_LT: given < value,
    SCMP_CMP_LE: given <= value,
    SCMP_CMP_EQ: given === value,
    SCMP_CMP_GE: given >= value,
    SCMP_CMP_GT: given > value,
    SCMP_CMP_MASKED_EQ: (given & value) === valueTwo,
  }[op];
}

Deno.test("every operator compares all 64 bits of an argument", () => {
  const edges = [
    0n,
    1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 32n + 1n,
    2n ** 63n,
    2n ** 64n - 1n,
  ];
  const number = fc.oneof(fc.constantFrom(...edges), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }));
  const condition = fc.record({
    index: fc.integer({ min: 0, max: 5 }),
    op: fc.constantFrom(...SECCOMP_OPERATORS),
    value: number,
    valueTwo: number,
  });
  const args = fc.uniqueArray(condition, {
    maxLength: 3,
    minLength: 1,
    selector: (it) => it.index,
  });
  fc.assert(
    fc.property(
      fc.array(args, { minLength: 1, maxLength: 4 }),
      fc.array(number, { minLength: 6, maxLength: 6 }),
      fc.nat(3),
      (rules, random, pick) => {
        const syscalls = rules.map((args, index) => ({
          ...rule("read", "SCMP_ACT_ERRNO", ...args),
          errnoRet: 100 + index,
        }));
        const profile = profileOf({ defaultAction: "SCMP_ACT_ALLOW", syscalls });
        // Values that are compared with, too, or hardly any condition would hold.
        const given = random.map((it, index) =>
          rules[pick % rules.length]!.find((one) => one.index === index)?.value ?? it
        );
        for (const values of [random, given]) {
          const first = rules.findIndex((args) => args.every((it) => holds(it, values[it.index]!)));
          const expected = first < 0 ? ALLOW : ERRNO | (100 + first);
          assert.equal(answerOf(profile, "read", ...values), expected);
        }
      },
    ),
    { numRuns: 500 },
  );
});
