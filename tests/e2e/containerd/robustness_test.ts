/** What becomes of tasks when containerd or a shim is killed. */
import assert from "node:assert/strict";
import { DeleteRequest } from "../../../lib/protocol/containerd/messages.ts";
import { Client } from "../../../lib/protocol/ttrpc/client.ts";
import { connectUnix } from "../../../lib/protocol/ttrpc/transport.ts";
import { isAlive as isProcessAlive } from "../../../lib/os/alive.ts";
import { readProcessStat } from "../../../lib/os/process.ts";
import { heldPidNamespace } from "../../support/pid_namespace.ts";
import { childrenOf, isAlive, readStatus, waitFor } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  assertNothingLeft,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

for (const group of ["container", "namespace"] as const) {
  testIf(`containerd killed and started again finds its tasks, a shim for each ${group}`, {
    needs: DOUBLE_NEEDS,
  }, async () => {
    await using scope = new Scope();
    const it = await startWithDouble(scope, {}, `shim_group = "${group}"`);
    const log = `${it.directory}/guest.log`;
    const detached = ["--detach", "--log-uri", `file://${log}`];
    await it.ctrRun(detached, GUEST, "stays", ["print begun; idle"]);
    await it.ctrRun(["--detach"], GUEST, "ends", ["sleep 4000; exit 11"]);
    await it.ctrRun(["--detach"], ORDINARY, "ordinary", ["/bin/sh", "-c", "sleep 4; exit 6"]);
    const pid = await waitForStatus(it, "stays", "RUNNING");
    const other = await waitForStatus(it, "ends", "RUNNING");

    await it.kill();
    await waitFor(() => !isAlive(other), { timeoutSeconds: 10, what: "the guest to end" });
    assert.ok(isAlive(pid));
    await it.start();

    assert.equal(await waitForStatus(it, "stays", "RUNNING"), pid);
    await waitForStatus(it, "ends", "STOPPED");
    await waitForStatus(it, "ordinary", "STOPPED");
    // What ctr says for the exit code of a task that it deletes.
    assert.match((await it.ctr(["task", "delete", "ends"])).stderr, /non-zero exit code 5\b/);
    assert.match((await it.ctr(["task", "delete", "ordinary"])).stderr, /non-zero exit code 6\b/);
    await it.ctr(["task", "kill", "--signal", "SIGKILL", "stays"], { check: true });
    await waitForStatus(it, "stays", "STOPPED");
    assert.match((await it.ctr(["task", "delete", "stays"])).stderr, /non-zero exit code 137\b/);
    assert.equal(await Deno.readTextFile(log), "begun\n");
    if (group === "container") await assertNothingLeft(it);
  });
}

for (const image of [GUEST, ORDINARY]) {
  testIf(`a shim that is killed: containerd's clean-up removes its container (${image})`, {
    needs: DOUBLE_NEEDS,
  }, async () => {
    await using scope = new Scope();
    const it = await startWithDouble(scope);
    const args = image === GUEST ? ["idle"] : ["/bin/sleep", "1000"];
    await it.ctrRun(["--detach"], image, "lost", args);
    const pid = await waitForStatus(it, "lost", "RUNNING");
    for (const shim of it.shims()) Deno.kill(shim, "SIGKILL");
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: "the container to end" });
    await assertNothingLeft(it);
    // The id is free again.
    await it.ctr(["containers", "delete", "lost"], { check: true });
    const again = await it.ctrRun(
      ["--rm"],
      image,
      "lost",
      image === GUEST ? ["exit 0"] : ["/bin/id"],
    );
    assert.equal(again.code, 0, again.stderr);
  });
}

testIf("a monitor that looks dead, and one that outlives the waiter, end with their task", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const start = async (id: string, commands: string, flags: string[] = []) => {
    await it.ctrRun(["--detach", "--null-io", ...flags], GUEST, id, [commands], { check: true });
    const waiter = await waitForStatus(it, id, "RUNNING");
    const monitor = await waitFor(() => childrenOf(waiter)[0], {
      timeoutSeconds: 10,
      what: "the monitor",
    });
    return { waiter, monitor };
  };
  const removed = await start("removed", "sleep 2000; lose-main");
  await waitFor(() => readProcessStat(removed.monitor)?.state === "Z", {
    timeoutSeconds: 10,
    what: "the exit of the main thread",
  });
  await waitForStatus(it, "removed", "RUNNING");
  await it.ctr(["task", "rm", "--force", "removed"], { check: true });
  assert.ok(!isAlive(removed.monitor));
  await assertNothingLeft(it);

  const flags = [`--with-ns=pid:${await heldPidNamespace(scope)}`];
  const { waiter, monitor } = await start("orphaned", "outlive; idle", flags);
  const began = readProcessStat(monitor)!.startTime;
  Deno.kill(waiter, "SIGKILL");
  await waitForStatus(it, "orphaned", "STOPPED");
  assert.ok(!isProcessAlive(monitor, began), "its task's exit was reported, and it lives");
  // It stays a zombie: the first process of that namespace waits for nobody.
});

testIf("a shim that is killed after it deleted its task leaves no socket", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  await it.ctrRun(["--detach"], GUEST, "lost", ["exit 0"], { check: true });
  await waitForStatus(it, "lost", "STOPPED");
  const { stdout } = await it.onHost(["cat", `${it.bundle("lost")}/address`], { check: true });
  const socket = stdout.replace(/^unix:\/\//, "");
  const [shim] = it.shims();
  const client = new Client(() => connectUnix(`/proc/${shim}/root${socket}`));
  scope.defer("disconnect", () => client.disconnect());
  // What containerd does, up to the shutdown.
  const request = DeleteRequest.encode({ id: "lost" });
  await client.call("containerd.task.v2.Task", "Delete", request, 20_000);
  const isThere = async (path: string) => (await it.onHost(["test", "-e", path])).code === 0;
  assert.ok(await isThere(socket));
  for (const each of it.shims()) Deno.kill(each, "SIGKILL");
  await waitFor(async () => !await isThere(it.bundle("lost")), {
    timeoutSeconds: 20,
    what: "containerd's clean-up",
  });
  assert.ok(!await isThere(socket), `${socket} is left`);
});

testIf("a shim of several containers that is killed: all of them go, and their group has another", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const flags = ["--detach", "--annotation=io.containerd.runc.v2.group=together"];
  const start = async (id: string, image: string, args: string[]) => {
    await it.ctrRun(flags, image, id, args, { check: true });
    return await waitForStatus(it, id, "RUNNING");
  };
  const pids = [
    await start("one", GUEST, ["idle"]),
    await start("two", GUEST, ["idle"]),
    await start("three", ORDINARY, ["/bin/sleep", "1000"]),
  ];
  const shims = new Set(pids.map((pid) => readStatus(pid).ppid));
  assert.equal(shims.size, 1, "one shim for all");
  for (const shim of it.shims()) Deno.kill(shim, "SIGKILL");
  for (const pid of pids) {
    await waitFor(() => !isAlive(pid), { timeoutSeconds: 10, what: `${pid} to end` });
  }
  await assertNothingLeft(it);
  for (const id of ["one", "two", "three"]) {
    await it.ctr(["containers", "delete", id], { check: true });
  }
  const next = readStatus(await start("next", GUEST, ["idle"])).ppid;
  assert.equal(readStatus(await start("last", GUEST, ["idle"])).ppid, next);
  assert.ok(!shims.has(next));
});

testIf("the executable can be replaced while a shim runs", { needs: DOUBLE_NEEDS }, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, 'shim_group = "namespace"');
  const shim = `${it.directory}/bin/containerd-shim-urunc-v2`;
  const original = await Deno.realPath(shim);
  // A file of its own, so that it can be taken away.
  await Deno.remove(shim);
  await Deno.copyFile(original, `${it.directory}/bin/urunc`);
  await Deno.symlink("urunc", shim);
  await it.ctrRun(["--rm"], GUEST, "before", ["exit 0"]);
  const shims = it.shims();
  await Deno.remove(`${it.directory}/bin/urunc`);
  await Deno.copyFile(original, `${it.directory}/bin/urunc`);
  for (const id of ["one", "two"]) {
    const after = await it.ctrRun(["--rm"], GUEST, id, ["print after"]);
    assert.equal(after.stdout, "after\n", after.stderr);
  }
  assert.ok(it.shims().includes(shims[0]!));
});
