/**
 * A hostile monitor that looks dead and is not: its main thread has exited, or the waiter, its parent.
 * It counts as running, is signalled, and goes with its container.
 */
import assert from "node:assert/strict";
import { isAlive as isProcessAlive } from "../../lib/os/alive.ts";
import { readProcessStat } from "../../lib/os/process.ts";
import { heldPidNamespace } from "../support/pid_namespace.ts";
import { isAlive, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { makePair, type Namespace } from "./network_support.ts";

const needs = ["root", "gcc", "ip", "tc", "unshare"];

/** How a container is ended, and whether it is gone then. */
const ENDS: { name: string; end(container: Container): Promise<unknown>; isGone?: true }[] = [
  { name: "kill TERM", end: (it) => it.kill("TERM") },
  { name: "kill KILL", end: (it) => it.kill("KILL") },
  { name: "kill --all KILL", end: (it) => it.kill("--all", "KILL") },
  { name: "delete --force", end: (it) => it.delete("--force"), isGone: true },
];

/** A guest in a network namespace that others may be in, and a PID namespace that outlives it. */
async function guestIn(
  scope: Scope,
  { network, pid }: { network: Namespace; pid: string },
  commands: string,
): Promise<Container> {
  const types = ["ipc", "uts", "mount"].map((type) => ({ type }));
  return await doubleContainer(scope, commands, {
    namespaces: [
      ...types,
      { type: "pid", path: pid },
      { type: "network", path: `/run/netns/${network.name}` },
    ],
  });
}

/** Its main thread is a zombie: the process is none. */
async function losesMain(pid: number): Promise<void> {
  await waitFor(() => readProcessStat(pid)?.state === "Z", {
    timeoutSeconds: 10,
    what: "the exit of the main thread",
  });
}

async function assertEnded(container: Container, isGone = false): Promise<void> {
  if (!isGone) {
    await container.waitForStatus("stopped");
    assertFailed(await container.kill("KILL"), ["container not running"]);
    assertSucceeded(await container.kill("--all", "KILL"), "kill --all of a stopped one");
    assertSucceeded(await container.delete(), "delete");
  }
  assertNothingLeft(container);
}

testIf("a monitor whose main thread has exited runs until it is ended", {
  needs,
  timeoutSeconds: 120,
}, async () => {
  for (const { name, end, isGone } of ENDS) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "lose-main");
    await container.mustStart();
    const monitor = await container.monitorPid();
    await losesMain(monitor);
    assert.equal((await container.state()).status, "running");
    assert.equal(await container.monitorPid(), monitor);
    assertFailed(await container.delete(), ["container is not stopped: it is running"]);
    await end(container);
    await waitFor(() => readProcessStat(monitor) === undefined, {
      timeoutSeconds: 10,
      what: `the monitor's end by ${name}`,
    });
    await assertEnded(container, isGone);
  }
});

for (const { name, end, isGone } of ENDS) {
  testIf(`a monitor that outlives the waiter is running, and ${name} ends it`, {
    needs,
    timeoutSeconds: 120,
  }, async () => {
    await using scope = new Scope();
    const { container: network } = await makePair(scope);
    const places = { network, pid: await heldPidNamespace(scope) };
    const before = await network.snapshot();
    const container = await guestIn(scope, places, "outlive; lose-main");
    const waiter = await container.mustStart();
    const monitor = await container.monitorPid();
    const began = readProcessStat(monitor)!.startTime;
    await losesMain(monitor);
    Deno.kill(waiter, "SIGKILL");
    await waitFor(() => !isAlive(waiter), { timeoutSeconds: 10, what: "the waiter's exit" });

    const { status, pid } = await container.state();
    assert.deepEqual([status, pid], ["running", monitor]);
    assertFailed(await container.delete(), ["container is not stopped: it is running"]);
    const other = await guestIn(scope, places, "idle");
    assertFailed(await other.create(), [
      `tap0_urunc: it belongs to another container's guest, process ${waiter}`,
      "only one container with a guest can use a network namespace at a time",
    ]);
    assertNothingLeft(other);

    assertSucceeded(await container.kill("0"), "kill 0");
    assert.ok(isProcessAlive(monitor, began), "it was not to be signalled");
    await end(container);
    await assertEnded(container, isGone);
    assert.ok(!isProcessAlive(monitor, began), `${monitor} is left`);
    await other.mustStart();
    assertSucceeded(await other.delete("--force"));
    assert.equal(await network.snapshot(), before);
  });
}
