import assert from "node:assert/strict";
import {
  compareIdentity,
  formatIdentity,
  type Identity,
  parseIdentity,
  readIdentity,
} from "../../../lib/host/identity.ts";
import type { ExpectedIdentity } from "../../../lib/host/identity.ts";

const STATUS = `Name:\tqemu-system-x86
Umask:\t0022
State:\tS (sleeping)
Uid:\t65534\t65534\t65534\t65534
Gid:\t65534\t65534\t65534\t65534
FDSize:\t64
Groups:\t108 20 
CapInh:\t0000000000000000
CapPrm:\t0000000000000400
CapEff:\t0000000000000400
CapBnd:\t000001ffffffffff
CapAmb:\t0000000000000000
NoNewPrivs:\t1
Seccomp:\t2
Seccomp_filters:\t1
`;

const NOBODY: Identity = {
  uids: [65534, 65534, 65534, 65534],
  gids: [65534, 65534, 65534, 65534],
  groups: [],
  capInh: 0n,
  capPrm: 0n,
  capEff: 0n,
  capBnd: 0n,
  capAmb: 0n,
  noNewPrivs: true,
  seccomp: 2,
  seccompFilters: 1,
};

const EXPECTED: ExpectedIdentity = {
  uid: 65534,
  gid: 65534,
  groups: [],
  capabilities: [],
  noNewPrivileges: true,
};

Deno.test("an identity is parsed from /proc/PID/status", () => {
  assert.deepEqual(parseIdentity(STATUS), {
    ...NOBODY,
    groups: [108, 20],
    capPrm: 0x400n,
    capEff: 0x400n,
    capBnd: 0x1ffffffffffn,
  });
});

Deno.test("an empty list of groups", () => {
  assert.deepEqual(parseIdentity(STATUS.replace("108 20 ", " ")).groups, []);
});

Deno.test("a kernel without seccomp has no seccomp mode", () => {
  const identity = parseIdentity(STATUS.replace(/^Seccomp.*\n/gm, ""));
  assert.equal(identity.seccomp, undefined);
});

for (const name of ["Uid", "Gid", "Groups", "CapEff", "CapBnd", "NoNewPrivs"]) {
  Deno.test(`a status without ${name} proves nothing`, () => {
    const text = STATUS.replace(new RegExp(`^${name}:.*\n`, "m"), "");
    assert.throws(() => parseIdentity(text), new RegExp(name));
  });
}

Deno.test("the identity of this process", () => {
  const identity = readIdentity(Deno.pid);
  assert.equal(identity.uids[1], Deno.uid());
  assert.equal(identity.gids[1], Deno.gid());
});

Deno.test("an identity as planned has no differences", () => {
  assert.deepEqual(compareIdentity(NOBODY, EXPECTED), []);
});

Deno.test("groups are compared as a set", () => {
  assert.deepEqual(
    compareIdentity({ ...NOBODY, groups: [20, 108, 108] }, { ...EXPECTED, groups: [20, 108] }),
    [],
  );
});

Deno.test("a granted capability must be in all five sets", () => {
  const set = 1n << 12n; // CAP_NET_ADMIN
  const all = { capInh: set, capPrm: set, capEff: set, capBnd: set, capAmb: set };
  const expected = { ...EXPECTED, capabilities: ["CAP_NET_ADMIN"] };
  assert.deepEqual(compareIdentity({ ...NOBODY, ...all }, expected), []);
  assert.match(
    compareIdentity({ ...NOBODY, ...all, capAmb: 0n }, expected).join(),
    /ambient capability set is 0000000000000000, planned was 0000000000001000/,
  );
});

const DIFFERENCES: [string, Partial<Identity>, RegExp][] = [
  ["real uid", { uids: [0, 65534, 65534, 65534] }, /^real uid is 0, planned was 65534$/],
  ["effective uid", { uids: [65534, 0, 65534, 65534] }, /^effective uid/],
  ["saved uid", { uids: [65534, 65534, 0, 65534] }, /^saved uid/],
  ["file system uid", { uids: [65534, 65534, 65534, 0] }, /^file system uid/],
  ["saved gid", { gids: [65534, 65534, 0, 65534] }, /^saved gid/],
  ["an inherited group", { groups: [27] }, /^supplementary groups is \[27\], planned was \[\]$/],
  ["inheritable", { capInh: 1n }, /^inheritable/],
  ["permitted", { capPrm: 1n }, /^permitted/],
  ["effective", { capEff: 1n }, /^effective capability/],
  ["bounding", { capBnd: 1n << 40n }, /^bounding/],
  ["ambient", { capAmb: 1n }, /^ambient/],
  ["no_new_privs", { noNewPrivs: false }, /^no_new_privs is 0, planned was 1$/],
];

for (const [what, change, message] of DIFFERENCES) {
  Deno.test(`an identity that differs in ${what} is reported in one sentence`, () => {
    const differences = compareIdentity({ ...NOBODY, ...change }, EXPECTED);
    assert.equal(differences.length, 1);
    assert.match(differences[0] ?? "", message);
  });
}

Deno.test("filters of system calls: as many as planned, or more", () => {
  const expected = { ...EXPECTED, seccompFilters: 2 };
  const differences = (change: Partial<Identity>) =>
    compareIdentity({ ...NOBODY, seccompFilters: 2, ...change }, expected);
  assert.deepEqual(differences({}), []);
  assert.deepEqual(differences({ seccompFilters: 3 }), [], "the monitor's own");
  assert.deepEqual(differences({ seccomp: 3 }), [], "one that a filter is killing");
  assert.deepEqual(differences({ seccompFilters: undefined }), [], "before Linux 5.9");
  assert.deepEqual(differences({ seccompFilters: 1 }), [
    "number of seccomp filters is 1, planned were at least 2",
  ]);
  assert.deepEqual(differences({ seccomp: 0, seccompFilters: 0 }), [
    "seccomp mode is 0, planned was 2",
  ]);
  assert.deepEqual(differences({ seccomp: undefined }), [
    "seccomp mode is unknown, planned was 2",
  ]);
  assert.deepEqual(compareIdentity({ ...NOBODY, seccomp: 0, seccompFilters: 0 }, EXPECTED), []);
});

Deno.test("an identity is printed on one line under the kernel's names", () => {
  assert.equal(
    formatIdentity({ ...NOBODY, groups: [20, 108] }),
    "Uid=65534,65534,65534,65534 Gid=65534,65534,65534,65534 Groups=20,108 " +
      "CapInh=0000000000000000 CapPrm=0000000000000000 CapEff=0000000000000000 " +
      "CapBnd=0000000000000000 CapAmb=0000000000000000 NoNewPrivs=1 Seccomp=2 Seccomp_filters=1",
  );
});
