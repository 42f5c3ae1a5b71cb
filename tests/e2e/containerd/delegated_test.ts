/** Ordinary containers under the runtime type of guests: runc runs them, the same shim serves them. */
import assert from "node:assert/strict";
import { missingMemoryController } from "../../support/cgroups.ts";
import { readStatus } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";
import {
  assertNothingLeft,
  collectEvents,
  DOUBLE_NEEDS,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "./_common.ts";

testIf("an ordinary container: run, exec, ps, metrics, pause, kill", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const events = await collectEvents(scope, it);
  const run = await it.ctrRun(["--rm", "--user=7:8"], ORDINARY, "run", [
    "/bin/sh",
    "-c",
    "id -u; id -g; echo error >&2; exit 5",
  ]);
  assert.deepEqual([run.code, run.stdout, run.stderr], [5, "7\n8\n", "error\n"]);
  await events.expect("run", ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"]);
  const failed = await it.ctrRun(["--rm"], ORDINARY, "failed", ["/no/such/program"]);
  assert.match(failed.stderr, /no such file or directory/);

  await it.ctrRun(["--detach"], ORDINARY, "idle", ["/bin/sleep", "1000"]);
  const pid = await waitForStatus(it, "idle", "RUNNING");
  assert.ok(it.shims().includes(readStatus(pid).ppid), "runc's child is the shim's");
  // Where runc's own shim has it, and no guests.
  await it.ctrRun(["--detach", "--null-io"], GUEST, "guest", ["idle"], { check: true });
  const runcs = `--root=/run/containerd/runc/${it.namespace}`;
  assert.equal((await it.onHost(["runc", runcs, "list", "--quiet"])).stdout, "idle\n");
  await it.ctr(["task", "delete", "--force", "guest"]);
  await it.ctr(["containers", "delete", "guest"], { check: true });
  const exec = await it.ctr([
    "task",
    "exec",
    "--exec-id",
    "e",
    "idle",
    "/bin/sh",
    "-c",
    "cat >/written; cat /written; exit 3",
  ], { stdin: "in\n" });
  assert.deepEqual([exec.code, exec.stdout], [3, "in\n"], exec.stderr);
  const wrong = await it.ctr(["task", "exec", "--exec-id", "w", "idle", "/no/such"]);
  assert.match(wrong.stderr, /no such file or directory/);
  assert.match(
    (await it.ctr(["task", "ps", "idle"], { check: true })).stdout,
    RegExp(`^${pid} `, "m"),
  );
  const metrics = JSON.parse(
    (await it.ctr(["task", "metrics", "--format", "json", "idle"], { check: true })).stdout,
  );
  assert.ok(Number(metrics.memory.usage.usage) > 0);
  await it.ctr(["task", "pause", "idle"], { check: true });
  await waitForStatus(it, "idle", "PAUSED");
  await it.ctr(["task", "resume", "idle"], { check: true });
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "idle"], { check: true });
  await waitForStatus(it, "idle", "STOPPED");
  assert.match((await it.ctr(["task", "delete", "idle"])).stderr, /137/);
  await events.expect("idle", [
    "/tasks/create",
    "/tasks/start",
    "/tasks/exec-added",
    "/tasks/exec-started",
    "/tasks/exit",
    // Its start failed: as with runc's shim, there is no exit to report.
    "/tasks/exec-added",
    "/tasks/paused",
    "/tasks/resumed",
    "/tasks/exit",
    "/tasks/delete",
  ]);
  await it.ctr(["containers", "delete", "idle"], { check: true });
  await assertNothingLeft(it);
});

testIf("an OOM kill is reported while the container keeps running", {
  needs: DOUBLE_NEEDS,
  skip: missingMemoryController(),
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope);
  const events = await collectEvents(scope, it);
  const limit = `--memory-limit=${64 << 20}`;
  const script = "sleep 0.5; dd if=/dev/zero of=/dev/null bs=256M count=1; exec sleep 1000";
  await it.ctrRun(["--detach", limit], ORDINARY, "goes-on", ["/bin/sh", "-c", script]);
  await events.expect("goes-on", ["/tasks/create", "/tasks/start", "/tasks/oom"]);
  await waitForStatus(it, "goes-on", "RUNNING");
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "goes-on"], { check: true });
  await waitForStatus(it, "goes-on", "STOPPED");

  const died = await it.ctrRun(["--rm", limit], GUEST, "died", ["sleep 500; alloc 256; idle"]);
  assert.equal(died.code, 137, died.stderr);
  await events.expect("died", [
    "/tasks/create",
    "/tasks/start",
    "/tasks/oom",
    "/tasks/exit",
    "/tasks/delete",
  ]);
});

testIf("an OCI runtime that is not there is named, with what to do", {
  needs: DOUBLE_NEEDS,
}, async () => {
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, 'oci_runtime = "no-such-runtime"');
  const run = await it.ctrRun(["--rm"], ORDINARY, "run", ["/bin/id"]);
  assert.match(run.stderr, /find the OCI runtime no-such-runtime/);
  await assertNothingLeft(it);
});
