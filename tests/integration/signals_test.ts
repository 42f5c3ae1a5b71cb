/** `kill`, `run` and `list`: signals by every name, exit codes, and what a caller reads. */
import assert from "node:assert/strict";
import { isAlive, run, signalChild, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

testIf("kill takes names and numbers, SIGTERM by default", { needs }, async () => {
  for (const signal of [[], ["TERM"], ["SIGTERM"], ["sigterm"], ["15"], ["KILL"], ["9"]]) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "print ready; idle");
    await container.mustStart();
    await container.waitForOutput("ready");
    assertSucceeded(await container.kill(...signal), `kill ${signal}`);
    await container.waitForStatus("stopped");
  }
});

testIf("kill: signals that end nothing, and ones that do not exist", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "ignore 15; print ready; idle");
  const pid = await container.mustStart();
  await container.waitForOutput("ready");
  for (const signal of ["0", "WINCH", "TERM"]) {
    assertSucceeded(await container.kill(signal), `kill ${signal}`);
  }
  for (const signal of ["SIGNO", "65", "-1x", "1.5", "0x9", "TERM "]) {
    const result = await container.urunc(["kill", "--", container.id, signal]);
    assertFailed(result, ["parse signal", signal, "no such signal"], 2);
  }
  assert.ok(isAlive(pid), "a signal that it ignores, or none, ended it");
  assertSucceeded(await container.kill("SIGKILL"), "kill KILL");
  await container.waitForStatus("stopped");
});

testIf("kill: any terminating signal ends a created container, others do not", {
  needs,
}, async () => {
  const cases: [signal: string, ends: boolean][] = [
    ["WINCH", false],
    ["CONT", false],
    ["0", false],
    ["TERM", true],
    ["INT", true],
    ["USR1", true],
  ];
  for (const [signal, ends] of cases) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle");
    const pid = await container.mustCreate();
    assertSucceeded(await container.kill(signal), `kill ${signal}`);
    if (ends) await container.waitForStatus("stopped");
    else {
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal((await container.state()).status, "created", signal);
      assertSucceeded(await container.start(), "start");
    }
    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container, pid);
  }
});

testIf("kill --all reaches every process of the container's cgroup", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print ready; idle");
  await container.mustStart();
  await container.waitForOutput("ready");
  const other = new Deno.Command("sleep", { args: ["60"] }).spawn();
  const { status } = other;
  scope.defer("end sleep", () => signalChild(other, "SIGKILL"));
  const procs = `/sys/fs/cgroup/unified/urunc/${container.id}/cgroup.procs`;
  const fallback = `/sys/fs/cgroup/urunc/${container.id}/cgroup.procs`;
  const file = await Deno.stat(procs).then(() => procs, () => fallback);
  await Deno.writeTextFile(file, `${other.pid}`);
  assertSucceeded(await container.kill("--all", "TERM"), "kill --all");
  assert.equal((await status).signal, "SIGTERM");
  await container.waitForStatus("stopped");
});

const guests = [
  { accelerator: "kvm", needs: ["root", "kvm", "qemu-system-x86_64"] },
  { accelerator: "tcg", needs: ["root", "qemu-system-x86_64"] },
] as const;

for (const { accelerator, needs } of guests) {
  testIf(`run on ${accelerator}: the guest's line and exit code are the command's`, {
    needs: [...needs],
  }, async () => {
    const cases: [args: string[], prints: string, code: number][] = [
      [["hello"], "Hello from a urunc guest\n", 0],
      [["hello", "TEXT", "3"], "TEXT\n", 3],
    ];
    for (const [args, prints, code] of cases) {
      await using scope = new Scope();
      const container = await Container.prepare(scope, { args, accelerator });
      assert.deepEqual(await container.run(), { code, stdout: prints, stderr: "" });
      assertNothingLeft(container);
    }
  });
}

testIf("run ended by a signal: the guest ends, nothing is left", {
  needs: ["root", "qemu-system-x86_64"],
}, async () => {
  for (const [signal, number] of [["SIGTERM", 15], ["SIGINT", 2]] as const) {
    await using scope = new Scope();
    const container = await Container.prepare(scope, { args: ["idle"], accelerator: "tcg" });
    const { child, code } = await container.spawn(scope, "run");
    await container.waitForOutput("idle");
    const { pid } = await container.state();
    child.kill(signal);
    assert.equal(await code, 128 + number, signal);
    assertNothingLeft(container, pid);
  }
});

testIf("run --detach leaves a running container", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print ready; idle");
  assertSucceeded(await container.run({ args: ["--detach"] }), "run");
  await container.waitForOutput("ready");
  assert.equal((await container.state()).status, "running");
});

testIf("run: a monitor that a signal ends is 128 and the signal", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print ready; idle");
  const { code } = await container.spawn(scope, "run");
  await container.waitForOutput("ready");
  Deno.kill((await container.state()).pid!, "SIGKILL");
  assert.equal(await code, 137);
  assertNothingLeft(container);
});

testIf("list: table, JSON and ids only", { needs }, async () => {
  await using scope = new Scope();
  const mark = crypto.randomUUID().slice(0, 13);
  const running = `a-${mark}`;
  const stopped = `b-${mark}`;
  const first = await doubleContainer(scope, "idle", { id: running });
  const { root } = first;
  const empty = await first.urunc(["list"], { check: true });
  assert.match(empty.stdout, /^ID +PID +STATUS +BUNDLE +CREATED +OWNER\n$/);
  assert.equal((await first.urunc(["list", "-q"], { check: true })).stdout, "");

  const pid = await first.mustStart();
  const second = await doubleContainer(scope, "exit 0", { id: stopped, root });
  await second.mustStart();
  await second.waitForStatus("stopped");

  const { stdout } = await first.urunc(["list", "--format", "json"], { check: true });
  const rows = JSON.parse(stdout);
  assert.deepEqual(
    rows.map((it: Record<string, unknown>) => [it.id, it.status, it.pid, it.rootfs, it.owner]),
    [
      [running, "running", pid, first.rootfs, "root"],
      [stopped, "stopped", 0, second.rootfs, "root"],
    ],
  );
  assert.ok(Math.abs(Date.parse(rows[0].created) - Date.now()) < 60_000);
  const table = await first.urunc(["list"], { check: true });
  const lines = table.stdout.trimEnd().split("\n").map((it) => it.split(/ {3,}/));
  assert.deepEqual(lines[1]?.slice(0, 4), [running, `${pid}`, "running", first.bundle]);
  assert.deepEqual(lines[2]?.slice(0, 4), [stopped, "0", "stopped", second.bundle]);
  const quiet = await first.urunc(["list", "--quiet"], { check: true });
  assert.equal(quiet.stdout, `${running}\n${stopped}\n`);
});

testIf("all output of a container reaches a slow reader", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "output 200000; exit 4");
  const fifo = `${await scope.temporaryDirectory("fifo")}/fifo`;
  await run(["mkfifo", fifo], { check: true });
  const reader = run(["sh", "-c", `sleep 0.3; cat ${fifo}`]);
  const code = await container.run({ wrapper: ["sh", "-c", `exec "$@" >${fifo}`, "sh"] });
  assert.equal((await reader).stdout.length, 200_000);
  // The double's 4 as QEMU's exit code is none that a guest could ask for.
  assert.notEqual(code.code, 0);
  await waitFor(() => !container.exists(), { timeoutSeconds: 5, what: "the end" });
});
