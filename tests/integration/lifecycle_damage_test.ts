/**
 * What `delete --force` must get rid of, and what create must leave nothing of. In a node there is only
 * what its cgroups could change: files and processes are there what they are here, and each call takes
 * a second.
 */
import assert from "node:assert/strict";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { cgroupDirectories } from "../support/cgroups.ts";
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
import { inNode, testIf } from "../support/skip.ts";
import { RUN_PREFIX } from "../support/mark.ts";
import { makePair } from "./network_support.ts";

const needs = ["root", "gcc"];

function statePath(container: Container): string {
  return `${container.root}/${container.id}/state.json`;
}

/** Rewrites what is in state.json. */
function damage(container: Container, change: (text: string) => string): void {
  const path = statePath(container);
  Deno.writeTextFileSync(path, change(Deno.readTextFileSync(path)));
}

function withField(key: string, value: unknown): (text: string) => string {
  return (text) => JSON.stringify({ ...JSON.parse(text), [key]: value });
}

const DAMAGES: { name: string; change: (text: string) => string; says: string }[] = [
  { name: "another version", change: withField("version", 999), says: "format version 999" },
  { name: "no version", change: withField("version", undefined), says: "format version" },
  { name: "a field of a wrong type", change: withField("bundle", 5), says: "bundle" },
  { name: "a pid beyond pid_t", change: withField("pid", 2 ** 40), says: "pid" },
  { name: "a pid that is negative", change: withField("pid", -1), says: "pid" },
  { name: "a creator beyond pid_t", change: withField("creatorPid", 2 ** 31), says: "creatorPid" },
  { name: "a hook that is none", change: withField("hooks", "x"), says: "hooks" },
  { name: "half of it", change: (it) => it.slice(0, it.length / 2), says: "not JSON" },
  { name: "nothing", change: () => "", says: "not JSON" },
  {
    name: "another thing",
    change: () => '"text"',
    says: 'found the string "text", allowed: an object',
  },
  { name: "zeros", change: (it) => "\0".repeat(it.length), says: "not JSON" },
];

/** All that look at a container; each with what it cannot go without. */
const VERBS = [
  ...["state", "start", "kill", "delete", "ps", "pause", "resume"],
  "update --memory 1g",
  "events --stats",
];

for (const { name, change, says } of inNode() ? DAMAGES.slice(0, 1) : DAMAGES) {
  testIf(`state.json is damaged (${name}): an error, and delete --force removes it`, {
    needs,
  }, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle");
    const pid = await container.mustStart();
    damage(container, change);
    for (const verb of VERBS) {
      const result = await container.urunc([...verb.split(" "), container.id]);
      assertFailed(result, [says, statePath(container), "delete --force"]);
    }
    assert.ok(isAlive(pid), "a refused command did something");
    const list = await container.urunc(["list", "--quiet"]);
    assertSucceeded(list, "list");
    assert.match(list.stderr, /level=warning/);

    const removed = await container.delete("--force");
    assertSucceeded(removed, "delete --force");
    assert.match(removed.stderr, /level=warning/);
    assertNothingLeft(container, pid);
  });
}

/** A container whose monitor outlives the waiter, and what is known of it only by its state. */
for (const { name, change } of inNode() ? DAMAGES.slice(0, 1) : DAMAGES) {
  testIf(`damaged state.json (${name}) with a cgroup and a network of others: all is found`, {
    needs: [...needs, "ip", "tc", "unshare"],
  }, async () => {
    await using scope = new Scope();
    const cgroupsPath = `/${RUN_PREFIX}damage/one`;
    const { container: network } = await makePair(scope);
    const before = await network.snapshot();
    const container = await doubleContainer(scope, "outlive; idle", {
      cgroupsPath,
      namespaces: [
        ...["ipc", "uts", "mount"].map((type) => ({ type })),
        { type: "pid", path: await heldPidNamespace(scope) },
        { type: "network", path: `/run/netns/${network.name}` },
      ],
    });
    const pid = await container.mustStart();
    const monitor = await container.monitorPid();
    assert.notDeepEqual(cgroupDirectories(cgroupsPath), []);
    damage(container, change);
    assertSucceeded(await container.delete("--force"), "delete --force");
    assertNothingLeft(container, pid);
    assert.ok(!isAlive(monitor), "the monitor lives on");
    assert.deepEqual(cgroupDirectories(`/${RUN_PREFIX}damage`), []);
    assert.equal(await network.snapshot(), before);
  });
}

testIf("damaged state.json: no process is killed but the container's", { needs }, async () => {
  await using scope = new Scope();
  const other = new Deno.Command("sleep", { args: ["60"] }).spawn();
  scope.defer("end sleep", async () => {
    try {
      other.kill("SIGKILL");
    } catch { /* that is the failure this test is about */ }
    await other.status;
  });
  const container = await doubleContainer(scope, "idle");
  const pid = await container.mustStart();
  // As if the number were another process's by now, and the cgroups the whole machine's.
  damage(container, (text) => {
    const { v1, v2 } = readCgroupLayout();
    const mountPoints = [...Object.values(v1), ...(v2 ? [v2.mountPoint] : [])];
    const roots = [...mountPoints, ...mountPoints.map((it) => `${it}/x/..`), "/sys/fs", "/tmp"];
    return JSON.stringify({ ...JSON.parse(text), version: 0, pid: other.pid, cgroupPaths: roots });
  });
  assertSucceeded(await container.delete("--force"), "delete --force");
  assertNothingLeft(container, pid);
  assert.ok(isAlive(other.pid));
});

testIf("a directory without state.json: a killed creator's, removed by delete", {
  needs,
}, async () => {
  for (const force of [[], ["--force"]]) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle");
    const directory = `${container.root}/${container.id}`;
    Deno.mkdirSync(directory, { recursive: true });
    Deno.chmodSync(container.root, 0o700);
    const made = (secondsAgo: number) => {
      const time = new Date(Date.now() - secondsAgo * 1000);
      Deno.utimeSync(directory, time, time);
    };
    const state = () => container.urunc(["state", container.id]);
    assertFailed(await container.create(), ["already exists"]);
    const list = async () =>
      JSON.parse((await container.urunc(["list", "--format", "json"], { check: true })).stdout);
    // It could still be one that is being made. In the future: however long a command takes.
    made(-60);
    assert.deepEqual(await list(), []);
    for (const verb of [state, () => container.start(), () => container.kill("KILL")]) {
      made(-60);
      assertFailed(await verb(), [`container "${container.id}" does not exist`]);
    }
    made(10);
    assert.equal((await list())[0].status, "stopped");
    assertFailed(await container.start(), ["create was interrupted", "delete --force"]);
    assertFailed(await state(), ["create was interrupted"]);
    assertSucceeded(await container.delete(...force), "delete");
    assertNothingLeft(container);
  }
});

testIf("a state directory that others can write, or a link, is refused", {
  needs,
  inNode: false,
}, async () => {
  await using scope = new Scope();
  const place = await scope.temporaryDirectory("place");
  const container = await doubleContainer(scope, "idle", { root: `${place}/state` });
  Deno.mkdirSync(container.root);
  Deno.chmodSync(container.root, 0o777);
  assertFailed(await container.create(), ["use state directory", container.root, "chmod go-w"]);
  Deno.removeSync(container.root);
  Deno.mkdirSync(`${place}/elsewhere`, { mode: 0o700 });
  Deno.symlinkSync(`${place}/elsewhere`, container.root);
  assertFailed(await container.create(), ["use state directory", "it is not a directory"]);
  assert.deepEqual([...Deno.readDirSync(`${place}/elsewhere`)], []);
  Deno.removeSync(container.root);
});

testIf("the pid file holds the pid and nothing else, at once", {
  needs,
  inNode: false,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const pidFile = `${await scope.temporaryDirectory("pid")}/pid`;
  const seen = new Set<string>();
  let done = false;
  const watching = waitFor(() => {
    try {
      seen.add(Deno.readTextFileSync(pidFile));
    } catch { /* not there yet */ }
    return done;
  }, { timeoutSeconds: 20, what: "the end of create", intervalMilliseconds: 0 });
  const pid = await container.mustCreate({ args: ["--pid-file", pidFile] });
  done = true;
  await watching;
  assert.deepEqual([...seen], [`${pid}`]);
  assert.deepEqual([...Deno.readDirSync(pidFile.replace(/\/pid$/, ""))].map((it) => it.name), [
    "pid",
  ]);
  await container.delete("--force");

  // One that an earlier container left is replaced, a link as such.
  const target = `${pidFile}-target`;
  Deno.writeTextFileSync(target, "untouched");
  Deno.removeSync(pidFile);
  Deno.symlinkSync(target, pidFile);
  const again = await container.mustCreate({ args: ["--pid-file", pidFile] });
  assert.equal(Deno.readTextFileSync(pidFile), `${again}`);
  assert.equal(Deno.readTextFileSync(target), "untouched");
});

testIf("a pid file that cannot be written: no container, nothing left", {
  needs,
  inNode: false,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const directory = await scope.temporaryDirectory("pid");
  Deno.mkdirSync(`${directory}/taken`);
  for (const pidFile of [`${directory}/no/such/pid`, `${directory}/taken`]) {
    const result = await container.create({ args: ["--pid-file", pidFile] });
    assertFailed(result, ["write pid file", pidFile, /no such file|directory/i]);
    assertNothingLeft(container);
    assert.deepEqual([...Deno.readDirSync(directory)].map((it) => it.name), ["taken"]);
  }
});
