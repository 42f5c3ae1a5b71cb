/** An init that somebody with the container's uid has stopped, right before its start. */
import assert from "node:assert/strict";
import { startContainer } from "../../lib/container/start.ts";
import { Store } from "../../lib/container/store.ts";
import { HostError } from "../../lib/errors.ts";
import { readProcessStat } from "../../lib/os/process.ts";
import { signalChild, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { Stopwatch } from "../support/busy.ts";

const needs = ["root", "gcc"];

/** Kills a process after 20 seconds, which no test waits for. */
function guard(scope: Scope, pid: number): void {
  const script = `trap 'kill $!; exit' TERM; sleep 20 & wait; kill -KILL ${pid}`;
  const child = new Deno.Command("sh", { args: ["-c", script] }).spawn();
  scope.defer("end the guard", async () => {
    signalChild(child, "SIGTERM");
    await child.status;
  });
}

/** A created container whose init is stopped. */
async function stoppedContainer(scope: Scope): Promise<{ container: Container; pid: number }> {
  const container = await doubleContainer(scope, "idle");
  const pid = await container.mustCreate();
  Deno.kill(pid, "SIGSTOP");
  guard(scope, pid);
  return { container, pid };
}

async function assertDeletedAtOnce(container: Container, pid: number): Promise<void> {
  const watch = new Stopwatch();
  assertSucceeded(await container.delete("--force"));
  watch.assertWithin(10_000, "delete --force");
  assertNothingLeft(container, pid);
}

for (const waiting of [0, 2]) {
  testIf(`the start of a stopped init fails, with ${waiting} that wait for it`, {
    needs,
  }, async () => {
    await using scope = new Scope();
    const { container, pid } = await stoppedContainer(scope);
    const path = `${container.root}/${container.id}/start.sock`;
    for (let index = 0; index < waiting; index++) {
      const connection = await Deno.connect({ transport: "unix", path });
      scope.defer("close a connection", () => connection.close());
    }
    const watch = new Stopwatch();
    const start = startContainer(new Store(container.root), container.id, 1);
    await assert.rejects(start, (error) => {
      assert.ok(error instanceof HostError);
      assert.match(
        error.message,
        new RegExp(
          `^start container ${container.id}: process ${pid} did not execute the monitor ` +
            "within 1 s \\(its state was T\\), and was killed \\(T: a process of its uid, or root, stopped it",
        ),
      );
      return true;
    });
    watch.assertWithin(10_000, "the start");
    assert.ok(watch.milliseconds() >= 1000);
    await container.waitForStatus("stopped");
    assertFailed(await container.start(), ["in the state stopped"]);
    assertSucceeded(await container.delete());
    assertNothingLeft(container, pid);
  });
}

testIf("delete --force does not wait for the start of a stopped init", { needs }, async () => {
  await using scope = new Scope();
  const { container, pid } = await stoppedContainer(scope);
  const start = container.start();
  const directory = new Store(container.root).open(container.id);
  await waitFor(() => {
    using lock = directory.tryLock();
    return lock === undefined;
  }, { timeoutSeconds: 10, what: "start to have the lock", intervalMilliseconds: 100 });
  await assertDeletedAtOnce(container, pid);
  assertFailed(await start, ["its process was killed before it executed the monitor"]);
});

testIf("delete --force does not wait for the create of a stopped init", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit: (config) => {
      config.hooks = {
        createRuntime: [{
          path: "/bin/sh",
          args: ["sh", "-c", `kill -STOP $(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/')`],
          env: ["PATH=/usr/bin"],
        }],
      };
    },
  });
  const create = await container.spawn(scope, "create");
  const pid = await waitFor(async () => {
    const { code, stdout } = await container.urunc(["state", container.id]);
    const { pid } = code === 0 ? JSON.parse(stdout) : { pid: undefined };
    return pid !== undefined && readProcessStat(pid)?.state === "T" ? pid as number : undefined;
  }, { timeoutSeconds: 10, what: "init to be stopped" });
  guard(scope, pid);
  await assertDeletedAtOnce(container, pid);
  assert.equal(await create.code, 1);
  assert.match(container.errors(), /the init process ended before it was done/);
});
