import assert from "node:assert/strict";
import { doubleBinary } from "../support/double.ts";
import { assertNoLeaks, findLeaks, takeSnapshot } from "../support/leaks.ts";
import { run, waitFor } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

/** Others may be at work on the machine: only what bears this test's names counts. */
function ours(leaks: string[], mark: string): string[] {
  return leaks.filter((it) => it.includes(mark)).map((it) => it.split(":")[0] ?? "");
}

testIf("leaks: nothing done, nothing left", {}, () => {
  const snapshot = takeSnapshot();
  assertNoLeaks(snapshot, snapshot);
});

testIf("leaks: a mount, a link, a file and a process are seen, and seen to go", {
  needs: ["root", "gcc", "ip"],
}, async () => {
  const mark = `ut-${Deno.pid}`;
  const before = takeSnapshot();
  {
    await using scope = new Scope();
    const directory = `${await scope.temporaryDirectory(mark)}`;
    await run(["mount", "-t", "tmpfs", "none", directory], { check: true });
    scope.defer("unmount", () => run(["umount", directory], { check: true }));
    await run(["ip", "tuntap", "add", "name", mark, "mode", "tap"], { check: true });
    scope.defer("remove tap", () => run(["ip", "link", "del", mark], { check: true }));
    const child = new Deno.Command(await doubleBinary(), {
      args: ["-append", "idle", `/${mark}`],
    }).spawn();
    scope.defer("end the double", async () => {
      child.kill("SIGKILL");
      await child.status;
    });
    const kinds = await waitFor(() => {
      const found = ours(findLeaks(before, takeSnapshot()), mark);
      return found.includes("process left") ? found : undefined;
    }, { timeoutSeconds: 5, what: "the process to be seen" });
    assert.deepEqual(
      new Set(kinds),
      new Set(["mount left", "network link left", "temporary file left", "process left"]),
    );
  }
  assert.deepEqual(ours(findLeaks(before, takeSnapshot()), mark), []);
});

testIf("leaks: a host file's new mode is seen", {}, () => {
  const before = takeSnapshot();
  const after = takeSnapshot();
  const files = after["host file"];
  const was = files?.get("/tmp") ?? "";
  files?.set("/tmp", was.replace("1777", "0777"));
  assert.notEqual(files?.get("/tmp"), was);
  assert.ok(
    findLeaks(before, after).includes(
      `host file changed: /tmp was ${was}, is ${was.replace("1777", "0777")}`,
    ),
  );
});
