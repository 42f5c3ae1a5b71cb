import assert from "node:assert/strict";
import { spawn, waitpid } from "../../../ffi/linux.ts";
import { hasProcess, otherOwner } from "../../../lib/host/id_owners.ts";
import { waitFor } from "../../support/process.ts";
import { testIf } from "../../support/skip.ts";

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

testIf("a process that has ended does not count before it is waited for", {
  needs: ["root", "setpriv"],
}, async () => {
  const uid = 1_900_000_101;
  const argv = ["setpriv", `--reuid=${uid}`, "--clear-groups", "true"];
  const pid = spawn({ path: "/usr/bin/setpriv", argv, env: ["PATH=/usr/bin"], fds: [] });
  try {
    const status = () => Deno.readTextFileSync(`/proc/${pid}/status`);
    await waitFor(() => /^State:\tZ/m.test(status()), { timeoutSeconds: 10, what: "its exit" });
    assert.match(status(), new RegExp(`^Uid:\t${uid}\t`, "m"));
    assert.ok(!hasProcess({ first: uid, last: uid }));
  } finally {
    waitpid(pid, 0);
  }
});

Deno.test("a process of a uid is found", () => {
  const uid = Deno.uid()!;
  assert.ok(hasProcess({ first: uid, last: uid }));
  assert.ok(hasProcess({ first: Math.max(uid - 1, 0), last: uid + 1 }));
  assert.ok(!hasProcess({ first: 2 ** 31 - 3, last: 2 ** 31 - 2 }));
});
