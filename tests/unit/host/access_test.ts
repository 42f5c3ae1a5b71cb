import assert from "node:assert/strict";
import { type Credentials, explainAccess, mayAccess } from "../../../lib/host/access.ts";
import type { AclEntry, DeviceFacts } from "../../../lib/host/types.ts";

function kvm(facts: Partial<DeviceFacts>): DeviceFacts {
  return {
    path: "/dev/kvm",
    type: "char",
    major: 10,
    minor: 232,
    uid: 0,
    gid: 108,
    mode: 0o660,
    ...facts,
  };
}

function who(uid: number, gid: number, ...groups: number[]): Credentials {
  return { uid, gid, groups };
}

/** Named user 1000 and named group 200 may read and write; the mode's group bits are the mask. */
function acl(
  changes: { mask?: number; group?: number; other?: number; user?: number } = {},
): AclEntry[] {
  return [
    { tag: "user_obj", permissions: 6 },
    { tag: "user", id: 1000, permissions: changes.user ?? 6 },
    { tag: "group_obj", permissions: changes.group ?? 0 },
    { tag: "group", id: 200, permissions: 6 },
    { tag: "mask", permissions: changes.mask ?? 6 },
    { tag: "other", permissions: changes.other ?? 0 },
  ];
}

const CASES: [string, DeviceFacts, Credentials, number, boolean][] = [
  ["the owner by the owner's bits", kvm({ uid: 7 }), who(7, 7), 6, true],
  ["the owner is judged by nothing else", kvm({ uid: 7, mode: 0o066 }), who(7, 108), 6, false],
  ["uid 0 is an ordinary uid", kvm({ uid: 7 }), who(0, 0), 6, false],
  ["uid 0 as the owner", kvm({ mode: 0o600 }), who(0, 0), 6, true],
  ["a supplementary group", kvm({}), who(65534, 65534, 108), 6, true],
  ["the primary group", kvm({}), who(65534, 108), 6, true],
  ["no group", kvm({}), who(65534, 65534), 6, false],
  ["a member is not judged by the others' bits", kvm({ mode: 0o606 }), who(1, 108), 6, false],
  ["others", kvm({ mode: 0o666 }), who(65534, 65534), 6, true],
  ["reading only, when writing is wanted too", kvm({ mode: 0o664 }), who(1, 1), 6, false],
  ["reading only, when that is wanted", kvm({ mode: 0o664 }), who(1, 1), 4, true],
  ["a user of the list", kvm({ acl: acl() }), who(1000, 1000), 6, true],
  [
    "a user of the list, masked",
    kvm({ mode: 0o640, acl: acl({ mask: 4 }) }),
    who(1000, 1),
    6,
    false,
  ],
  [
    "a user of the list is not judged by groups",
    kvm({ acl: acl({ user: 0 }) }),
    who(1000, 200),
    6,
    false,
  ],
  ["a group of the list", kvm({ acl: acl() }), who(1, 1, 200), 6, true],
  ["the owning group by its entry, not the mode", kvm({ acl: acl() }), who(1, 108), 6, false],
  ["one group of two suffices", kvm({ acl: acl({ group: 4 }) }), who(1, 108, 200), 6, true],
  [
    "a listed member is not judged by others",
    kvm({ mode: 0o666, acl: acl({ other: 6 }) }),
    who(1, 108),
    6,
    false,
  ],
  ["others of a list", kvm({ mode: 0o666, acl: acl({ other: 6 }) }), who(1, 1), 6, true],
  [
    "an empty mask: the list is not looked at",
    kvm({ mode: 0o606, acl: acl({ mask: 0, other: 6 }) }),
    who(1000, 1),
    6,
    true,
  ],
];

for (const [what, device, credentials, want, expected] of CASES) {
  Deno.test(`access: ${what}: ${expected ? "granted" : "refused"}`, () => {
    assert.equal(mayAccess(device, credentials, want), expected);
  });
}

Deno.test("a refusal names the group, docker's flag and the Kubernetes field", () => {
  const text = explainAccess(
    kvm({}),
    who(65534, 65534),
    6,
    (gid) => gid === 108 ? "kvm" : undefined,
  );
  assert.match(text, /group 108 \(kvm\)/);
  assert.match(text, /--group-add 108\b/);
  assert.match(text, /securityContext\.supplementalGroups: \[108\]/);
  assert.match(text, /mode 0660/);
  assert.match(text, /uid 65534, gid 65534 with no groups/);
});

Deno.test("a refusal names a group of the access control list when only that one helps", () => {
  const text = explainAccess(kvm({ acl: acl() }), who(65534, 65534));
  assert.match(text, /--group-add 200\b/);
});

Deno.test("an error says so when no group would help", () => {
  const text = explainAccess(kvm({ mode: 0o600 }), who(65534, 65534));
  assert.match(text, /a group would not change that: let a group have it \(chgrp kvm \/dev\/kvm;/);
  assert.doesNotMatch(text, /--group-add/);
});

Deno.test("a grant is explained as one", () => {
  assert.match(explainAccess(kvm({}), who(65534, 108)), /may use it$/);
});
