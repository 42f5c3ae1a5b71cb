/** Commands at the same time, and commands that are killed midway. */
import assert from "node:assert/strict";
import { isAlive, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";

const needs = ["root", "gcc"];

testIf("of 20 creates of one id at once exactly one wins, and is whole", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const command = ["create", "--bundle", container.bundle, container.id];
  const results = await Promise.all(Array.from({ length: 20 }, () => container.urunc(command)));
  assert.equal(results.filter((it) => it.code === 0).length, 1);
  for (const result of results.filter((it) => it.code !== 0)) {
    assertFailed(result, ["already exists"]);
  }
  const state = await container.state();
  assert.equal(state.status, "created");
  assertSucceeded(await container.start(), "start");
  await container.waitForStatus("running");
  assertSucceeded(await container.delete("--force"), "delete");
  assertNothingLeft(container, state.pid);
});

testIf("of 10 starts at once exactly one wins", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print once; idle");
  await container.mustCreate();
  const results = await Promise.all(Array.from({ length: 10 }, () => container.start()));
  assert.equal(results.filter((it) => it.code === 0).length, 1);
  for (const result of results.filter((it) => it.code !== 0)) {
    assertFailed(result, ["cannot start a container in the state running"]);
  }
  assert.equal(await container.waitForOutput("once"), "once\n");
});

testIf("10 concurrent deletes: it is gone, and all agree", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "exit 0");
  const pid = await container.mustStart();
  await container.waitForStatus("stopped");
  const results = await Promise.all(Array.from({ length: 10 }, () => container.delete()));
  assert.ok(results.some((it) => it.code === 0));
  for (const result of results.filter((it) => it.code !== 0)) {
    assertFailed(result, ["does not exist"]);
  }
  assertNothingLeft(container, pid);
});

testIf("a start killed at any moment leaves created, running or stopped", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const seen = new Set<string>();
  // On a busy machine it takes longer until one runs.
  const last = () => seen.has("running") ? 60 : 2000;
  for (let delay = 0; delay <= last(); delay += delay < 60 ? 6 : 100) {
    const pid = await container.mustCreate();
    const [program, ...args] = await container.commandLine("create");
    const start = new Deno.Command(program!, {
      args: args.slice(0, args.indexOf("create")).concat("start", container.id),
    }).spawn();
    await new Promise((resolve) => setTimeout(resolve, delay));
    try {
      start.kill("SIGKILL");
    } catch { /* it has ended */ }
    await start.status;
    const { status } = await container.state();
    seen.add(status);
    // What it says is what there is: a created one can be started, a running one cannot.
    const again = await container.start();
    if (again.code === 0) await container.waitForStatus("running");
    else assertFailed(again, [/in the state running|cannot start|does not exist/]);
    assertSucceeded(await container.delete("--force"), "delete");
    assertNothingLeft(container, pid);
  }
  assert.ok(seen.has("created") && seen.has("running"), `only ${[...seen]} was seen`);
});

testIf("a connection to the start socket that asks for nothing starts nothing", {
  needs,
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  await container.mustCreate();
  for (const bytes of [[], [0], [0x41, 0x53]]) {
    using socket = await Deno.connect({
      transport: "unix",
      path: `${container.root}/${container.id}/start.sock`,
    });
    if (bytes.length > 0) await socket.write(new Uint8Array(bytes));
    // Few connections may wait for init to take them.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.equal((await container.state()).status, "created");
  assertSucceeded(await container.start(), "start");
  assert.equal((await container.state()).status, "running");
});

testIf("a creator killed in its hook: stopped, and delete removes all", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    edit: (config) => {
      config.hooks = { createRuntime: [{ path: "/bin/sleep", args: ["sleep", "2"] }] };
    },
  });
  const create = await container.spawn(scope, "create");
  const state = await waitFor(async () => {
    const { code, stdout } = await container.urunc(["state", container.id]);
    return code === 0 ? JSON.parse(stdout) : undefined;
  }, { timeoutSeconds: 10, what: "the first state" });
  assert.equal(state.status, "creating");
  create.child.kill("SIGKILL");
  await create.code;
  // Init ends by itself: nobody is left to start it.
  await waitFor(() => !isAlive(state.pid), { timeoutSeconds: 5, what: "the end of init" });
  assert.equal((await container.state()).status, "stopped");
  assertFailed(await container.start(), ["in the state stopped"]);
  assertSucceeded(await container.delete(), "delete");
  assertNothingLeft(container, state.pid);
});
