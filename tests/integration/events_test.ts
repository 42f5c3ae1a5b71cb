/** events and their statistics, of what the test double really uses. */
import assert from "node:assert/strict";
import { missingMemoryController } from "../support/cgroups.ts";
import { waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const NEEDS = {
  needs: ["root", "gcc"],
  skip: missingMemoryController(),
  timeoutSeconds: 60,
};
const MIB = 1024 * 1024;

async function stats(container: Container) {
  const { stdout } = await container.urunc(["events", "--stats", container.id], { check: true });
  const { type, id, data } = JSON.parse(stdout);
  assert.deepEqual({ type, id }, { type: "stats", id: container.id });
  return data;
}

testIf("statistics are what the container used", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(
    scope,
    "alloc 50; print allocated; idle",
    { memoryLimit: 128 * MIB },
  );
  await container.mustStart();
  await container.waitForOutput("allocated");
  const data = await stats(container);
  const { usage, limit, max } = data.memory.usage;
  assert.ok(usage >= 50 * MIB && usage < 60 * MIB, `${usage} bytes`);
  assert.ok(max >= usage);
  assert.equal(limit, 128 * MIB);
  assert.ok(data.memory.swap.usage >= 50 * MIB);
  assert.ok(data.cpu.usage.total > 1_000_000, "an init has run, for a millisecond at least");
  assert.ok(data.cpu.usage.total < 30_000_000_000);
  // Waiter and monitor, with one thread each; init's have exited.
  assert.equal(data.pids.current, 2);
  assert.ok(data.pids.limit > 2 && data.pids.limit < 100, `${data.pids.limit}`);

  const later = await stats(container);
  assert.ok(later.cpu.usage.total >= data.cpu.usage.total);
  assertSucceeded(await container.urunc(["pause", container.id]));
  assert.equal((await stats(container)).pids.current, 2);
  assertSucceeded(await container.kill("KILL"));
  await container.waitForStatus("stopped");
  assertFailed(await container.urunc(["events", "--stats", container.id]), [
    "container not running",
  ]);
  assertFailed(await container.urunc(["events", container.id]), ["container not running"]);
});

/** `events` in the background; ended with the scope. */
async function follow(scope: Scope, container: Container, ...options: string[]) {
  const child = new Deno.Command(await uruncBinary(), {
    args: ["--root", container.root, "events", ...options, container.id],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  scope.defer("end events", async () => {
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await child.status;
  });
  const events: { type: string; id: string }[] = [];
  const decoder = new TextDecoder();
  let rest = "";
  const reading = child.stdout.pipeTo(
    new WritableStream({
      write(bytes) {
        const lines = (rest + decoder.decode(bytes, { stream: true })).split("\n");
        rest = lines.pop()!;
        events.push(...lines.map((line) => JSON.parse(line)));
      },
    }),
  );
  return { events, ended: reading.then(() => child.status) };
}

testIf("events come at their interval until the container ends", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  await container.mustStart();
  const { events, ended } = await follow(scope, container, "--interval", "100ms");
  await waitFor(() => events.length >= 3, { timeoutSeconds: 10, what: "three events" });
  assertSucceeded(await container.kill("KILL"));
  assert.deepEqual(await ended.then(({ code }) => code), 0);
  assert.deepEqual([...new Set(events.map(({ type }) => type))], ["stats"]);
  assert.ok(events.every(({ id }) => id === container.id));
});

testIf("an OOM kill of the monitor is reported", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "sleep 1000; alloc 200; idle", {
    edit(config) {
      (config.linux as Record<string, unknown>).resources = {
        memory: { limit: 100 * MIB, swap: 100 * MIB },
      };
    },
  });
  await container.mustStart();
  const { events, ended } = await follow(scope, container);
  assert.equal((await ended).code, 0);
  assert.deepEqual(events, [{ type: "oom", id: container.id }]);
  assert.equal((await container.state()).status, "stopped");
});

testIf("invalid intervals are rejected", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  await container.mustStart();
  for (const interval of ["0s", "5", "-1s", "1s2", "soon"]) {
    const words = ["events", `--interval=${interval}`, container.id];
    assertFailed(await container.urunc(words), ["--interval", "not a duration"], 2);
  }
});
