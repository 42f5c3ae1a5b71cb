import assert from "node:assert/strict";
import { hasProcess, otherOwner } from "../../../lib/host/id_owners.ts";

const RANGE = { first: 70000, last: 70009 };

const cases: [path: string, text: string, owner?: string][] = [
  ["/etc/passwd", "root:x:0:0:root:/root:/bin/bash\nann:x:69999:70005::/:\n\n"],
  ["/etc/passwd", "root:x:0:0::/:\nann:x:70000:100::/:", "ann (/etc/passwd)"],
  ["/etc/passwd", "bob:x:70009:100::/:", "bob (/etc/passwd)"],
  ["/etc/passwd", "bob:x:70010:100::/:\n+::::::\n# who: ann"],
  ["/etc/group", "kvm:x:104:\nguests:x:70003:ann", "guests (/etc/group)"],
  ["/etc/subuid", "ann:100000:65536\nbob:65000:5000\ncy:70010:1"],
  ["/etc/subuid", "ann:65000:5001", "ann (/etc/subuid)"],
  ["/etc/subgid", "urunc:70000:10\ncontainers:0:4294967295", "containers (/etc/subgid)"],
  ["/etc/subgid", "urunc:70000:10\ndockremap:100000:65536"],
];

for (const [path, text, owner] of cases) {
  Deno.test(`ids of ${JSON.stringify(text)} in ${path} are ${owner ?? "nobody"}'s`, () => {
    const read = (it: string) => it === path ? text : undefined;
    assert.equal(otherOwner(RANGE, read), owner);
  });
}

Deno.test("a process of a uid is found", () => {
  assert.ok(hasProcess(Deno.uid()!));
  assert.ok(!hasProcess(2 ** 31 - 2));
});
