/** pause, resume and ps, with the test double in the monitor's place. */
import assert from "node:assert/strict";
import { freezeCgroup, isFrozen, thawCgroup } from "../../lib/cgroups/freezer.ts";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  type Container,
  doubleContainer,
} from "../support/runtime.ts";
import { isAlive } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const LAYOUT = readCgroupLayout();
const NEEDS = { needs: ["root", "gcc"], timeoutSeconds: 60 };

/** Prints numbers that count up, twenty a second. */
function counting(last: number): string {
  const numbers = Array.from({ length: last }, (_, number) => `print ${number}; sleep 50;`);
  return `${numbers.join(" ")} idle`;
}

function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

async function listed(container: Container): Promise<string> {
  const { stdout } = await container.urunc(["list", "--format", "json"], { check: true });
  const rows: { id: string; status: string }[] = JSON.parse(stdout);
  return rows.find(({ id }) => id === container.id)!.status;
}

testIf("a paused container stops, and resumes where it was", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, counting(60));
  const pid = await container.mustStart();
  await container.waitForOutput("2\n");
  assertSucceeded(await container.urunc(["pause", container.id]), "pause");
  const before = container.output();
  await sleep(300);
  assert.equal(container.output(), before);
  assert.deepEqual(await container.state().then(({ status, pid }) => ({ status, pid })), {
    status: "paused",
    pid,
  });
  assert.equal(await listed(container), "paused");
  assertFailed(await container.urunc(["pause", container.id]), ["container not running", "paused"]);
  assertFailed(await container.start(), ["cannot start a container in the state paused"]);
  assertFailed(await container.delete(), ["container is not stopped: it is paused"]);

  assertSucceeded(await container.urunc(["resume", container.id]), "resume");
  assert.equal((await container.state()).status, "running");
  await container.waitForOutput(`${before.trim().split("\n").length + 2}\n`);
  assertFailed(await container.urunc(["resume", container.id]), ["container not paused"]);
  assertSucceeded(await container.delete("--force"));
  assertNothingLeft(container, pid);
});

testIf("a created container can be paused; it is started after it was resumed", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print hello; idle");
  await container.mustCreate();
  assertSucceeded(await container.urunc(["pause", container.id]));
  assert.equal((await container.state()).status, "paused");
  assertFailed(await container.start(), ["in the state paused", "resume it first"]);
  assertSucceeded(await container.urunc(["resume", container.id]));
  assert.equal((await container.state()).status, "created");
  assertSucceeded(await container.start());
  await container.waitForOutput("hello");
});

for (const how of [["kill"], ["kill", "--all"], ["delete", "--force"]]) {
  testIf(`a paused container does not outlive ${how.join(" ")}`, NEEDS, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, counting(60));
    const pid = await container.mustStart();
    await container.waitForOutput("1\n");
    assertSucceeded(await container.urunc(["pause", container.id]));
    const before = container.output();
    const [verb, ...options] = how;
    const signal = verb === "kill" ? ["KILL"] : [];
    assertSucceeded(await container.urunc([verb!, ...options, container.id, ...signal]));
    if (verb === "kill") await container.waitForStatus("stopped", 5);
    assert.ok(!isAlive(pid));
    assert.equal(container.output(), before, "it did something before it died");
    assertSucceeded(await container.delete("--force"));
    assertNothingLeft(container, pid);
  });
}

testIf("a signal that can wait waits until the container is resumed", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const pid = await container.mustStart();
  assertSucceeded(await container.urunc(["pause", container.id]));
  assertSucceeded(await container.kill("HUP"));
  await sleep(100);
  assert.equal((await container.state()).status, "paused");
  assert.ok(isAlive(pid));
  assertSucceeded(await container.urunc(["resume", container.id]));
  await container.waitForStatus("stopped", 5);
});

testIf("what is not there or has ended is neither paused nor resumed", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "exit 0");
  for (const verb of ["pause", "resume", "ps"]) {
    assertFailed(await container.urunc([verb, container.id]), ["does not exist"]);
  }
  await container.mustStart();
  await container.waitForStatus("stopped");
  assertFailed(await container.urunc(["pause", container.id]), ["container not running"]);
  assertFailed(await container.urunc(["resume", container.id]), ["container not paused"]);
  const { stdout } = await container.urunc(["ps", "--format", "json", container.id]);
  assert.deepEqual(JSON.parse(stdout), []);
});

testIf("ps lists waiter and monitor, in both formats, also while it is paused", NEEDS, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", { user: { uid: 1234, gid: 1234 } });
  const pid = await container.mustStart();
  const ps = async (...args: string[]) =>
    (await container.urunc(["ps", ...args, container.id], { check: true })).stdout;
  const monitor = await container.monitorPid();
  const both = [pid, monitor].sort((a, b) => a - b);
  assert.deepEqual(JSON.parse(await ps("--format=json")), both);
  assertSucceeded(await container.urunc(["pause", container.id]));
  assert.deepEqual(JSON.parse(await ps("-f", "json")), both);
  const [header, ...rows] = (await ps()).trim().split("\n");
  assert.match(header!, /^UID\s+PID\s+PPID\s+STATE\s+CMD$/);
  assert.equal(rows.length, 2);
  const row = (expected: string) =>
    assert.ok(rows.some((it) => new RegExp(expected).test(it)), expected);
  row(`^1234\\s+${pid}\\s+\\d+\\s+[A-Z]\\s+urunc-waiter monitor=\\d+ `);
  row(`^1234\\s+${monitor}\\s+${pid}\\s+[A-Z]\\s+/.* -append .*idle`);
});

testIf("cgroup v2: processes stop, are seen to be stopped, and resume", {
  needs: ["root"],
  skip: LAYOUT.v2 === undefined ? "needs a cgroup2 tree" : undefined,
}, async () => {
  const cgroup = `${LAYOUT.v2!.mountPoint}/${RUN_PREFIX}${crypto.randomUUID().slice(0, 13)}`;
  Deno.mkdirSync(cgroup);
  const child = new Deno.Command("sh", {
    args: ["-c", `echo $$ > ${cgroup}/cgroup.procs; while :; do echo x; sleep 0.02; done`],
    stdout: "piped",
  }).spawn();
  try {
    let bytes = 0;
    const reading = child.stdout.pipeTo(
      new WritableStream({ write: (it) => void (bytes += it.length) }),
    );
    while (bytes < 4) await sleep(20);
    assert.equal(isFrozen([cgroup]), false);
    await freezeCgroup([cgroup]);
    assert.equal(isFrozen([cgroup]), true);
    await sleep(50);
    const before = bytes;
    await sleep(150);
    assert.equal(bytes, before);
    await thawCgroup([cgroup]);
    assert.equal(isFrozen([cgroup]), false);
    while (bytes === before) await sleep(20);
    child.kill("SIGKILL");
    await reading;
  } finally {
    await thawCgroup([cgroup]);
    try {
      child.kill("SIGKILL");
    } catch { /* it has ended */ }
    await child.status;
    for (
      let tries = 0;
      Deno.readTextFileSync(`${cgroup}/cgroup.procs`) !== "" && tries < 50;
      tries++
    ) {
      await sleep(20);
    }
    Deno.removeSync(cgroup);
  }
  await thawCgroup([cgroup]);
  assert.equal(isFrozen([cgroup]), false, "a cgroup that is gone is not frozen");
});
