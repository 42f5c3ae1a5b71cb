import assert from "node:assert/strict";
import { parseGroupName, readGroupName } from "../../../lib/host/groups.ts";

const GROUPS = "root:x:0:\nkvm:x:108:libvirt-qemu,me\n# a comment\nempty:x::\n\n";

for (
  const [gid, name] of [[0, "root"], [108, "kvm"], [10, undefined], [1, undefined]] as const
) {
  Deno.test(`group ${gid} is ${name ?? "unknown"}`, () => {
    assert.equal(parseGroupName(GROUPS, gid), name);
  });
}

Deno.test("this host calls group 0 root", () => {
  assert.equal(readGroupName(0), "root");
});
