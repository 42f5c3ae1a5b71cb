/** States and commands as the runtime specification has them (runtime.md), on the real executable. */
import assert from "node:assert/strict";
import { type CommandResult, isAlive, readStatus, run, waitFor } from "../support/process.ts";
import {
  assertFailed,
  assertNothingLeft,
  assertSucceeded,
  Container,
  doubleContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { pssOf } from "../support/pss.ts";
import { uruncBinary } from "../support/urunc.ts";
import { readName } from "../../lib/os/process.ts";

const needs = ["root", "gcc"];

type State = "none" | "creating" | "created" | "running" | "stopped";

/** A container that was brought into a state. */
async function inState(scope: Scope, state: State): Promise<Container> {
  const container = await doubleContainer(scope, "print started; idle");
  if (state === "creating") await startCreating(scope, container);
  if (state === "created") await container.mustCreate();
  if (state === "running" || state === "stopped") {
    await container.mustStart();
    await container.waitForOutput("started");
  }
  if (state === "stopped") {
    await container.kill("KILL");
    await container.waitForStatus("stopped");
  }
  return container;
}

/** Starts a `create` that does not go on while its hook waits; the scope lets it. */
async function startCreating(scope: Scope, container: Container): Promise<void> {
  const fifo = `${await scope.temporaryDirectory("fifo")}/fifo`;
  await run(["mkfifo", fifo], { check: true });
  await container.editConfig((config) => {
    config.hooks = { createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", `read x <${fifo}`] }] };
  });
  const create = await container.spawn(scope, "create");
  await waitFor(() => container.exists(), { timeoutSeconds: 10, what: "the directory" });
  await waitFor(async () => (await container.urunc(["state", container.id])).code === 0, {
    timeoutSeconds: 10,
    what: "the first state",
  });
  scope.defer("let the hook go on", async () => {
    // Opened for both, so that nobody has to be at the other end.
    using file = await Deno.open(fifo, { read: true, write: true });
    await file.write(new TextEncoder().encode("go\n"));
    assert.equal(await create.code, 0, "create did not go on");
  });
}

/** What there is of JavaScript in a process is more. KiB. */
const WITHOUT_ENGINE = 1024;

testIf(
  "what waits for the start has no engine in it, and another name than after it",
  { needs },
  async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle");
    const pid = await container.mustCreate();
    const maps = Deno.readTextFileSync(`/proc/${pid}/maps`);
    assert.ok(!maps.includes(await uruncBinary()), maps);
    const memory = pssOf([pid]);
    assert.ok(memory < WITHOUT_ENGINE, `${memory} KiB`);
    assert.equal(readName(pid), "urunc-init");
    assertSucceeded(await container.start());
    assert.equal(readName(pid), "urunc-waiter");
  },
);

const COMMANDS: Record<string, (container: Container) => Promise<CommandResult>> = {
  create: (it) => it.create(),
  start: (it) => it.start(),
  state: (it) => it.urunc(["state", it.id]),
  kill: (it) => it.kill("TERM"),
  "kill --all": (it) => it.kill("--all", "TERM"),
  delete: (it) => it.delete(),
  "delete --force": (it) => it.delete("--force"),
};

/** What a command is refused with. */
const REFUSED: Record<State, Record<string, string>> = {
  none: {
    start: "does not exist",
    state: "does not exist",
    kill: "does not exist",
    "kill --all": "does not exist",
    delete: "does not exist",
  },
  creating: {
    create: "already exists",
    start: "cannot start a container in the state creating",
    kill: "container not running",
    delete: "container is not stopped: it is creating",
  },
  created: { create: "already exists", delete: "container is not stopped: it is created" },
  running: {
    create: "already exists",
    start: "cannot start a container in the state running",
    delete: "container is not stopped: it is running",
  },
  stopped: {
    create: "already exists",
    start: "cannot start a container in the state stopped",
    kill: "container not running",
  },
};

/** What a command that is not refused leads to. */
const ALLOWED: Record<State, Record<string, State>> = {
  none: { create: "created", "delete --force": "none" },
  creating: { state: "creating" },
  created: {
    state: "created",
    start: "running",
    kill: "stopped",
    "kill --all": "stopped",
    "delete --force": "none",
  },
  running: {
    state: "running",
    kill: "stopped",
    "kill --all": "stopped",
    "delete --force": "none",
  },
  stopped: { state: "stopped", "kill --all": "stopped", delete: "none", "delete --force": "none" },
};

async function assertState(container: Container, state: State, what: string): Promise<void> {
  if (state === "none") return assert.equal(container.exists(), false, what);
  // A signal takes its time.
  if (state === "stopped") return void await container.waitForStatus("stopped");
  assert.equal((await container.state()).status, state, what);
}

for (const state of Object.keys(REFUSED) as State[]) {
  testIf(`${state}: commands that are refused change nothing`, { needs }, async () => {
    await using scope = new Scope();
    const container = await inState(scope, state);
    for (const [command, text] of Object.entries(REFUSED[state])) {
      assertFailed(await COMMANDS[command]!(container), [text, container.id]);
      await assertState(container, state, `${state} after ${command}`);
    }
  });

  for (const [command, next] of Object.entries(ALLOWED[state])) {
    testIf(`${state}: ${command} leads to ${next}`, { needs }, async () => {
      await using scope = new Scope();
      const container = await inState(scope, state);
      assertSucceeded(await COMMANDS[command]!(container), command);
      await assertState(container, next, `${state} after ${command}`);
      if (next === "none") assertNothingLeft(container);
    });
  }
}

testIf("an id is free again after delete", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "exit 0");
  for (let round = 0; round < 2; round++) {
    await container.mustStart();
    await container.waitForStatus("stopped");
    assertSucceeded(await container.delete(), "delete");
    assertNothingLeft(container);
  }
});

testIf("ids that could be a path are refused, by every command", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope);
  for (const id of ["a/b", "..", ".", "a b", "a\n", "é", "x".repeat(256)]) {
    const create = ["create", "--bundle", container.bundle, id];
    assertFailed(await container.urunc(create), ["use container id"]);
    for (const verb of ["start", "state", "kill", "delete"]) {
      assertFailed(await container.urunc([verb, id]), ["use container id"]);
    }
  }
  assert.equal(container.exists(), false);
});

testIf("state is the specification's, with the monitor's identity", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    annotations: { "org.example.key": "value" },
  });
  const pid = await container.mustCreate();
  const state = await container.state();
  const { created, ...rest } = state;
  assert.ok(Math.abs(Date.parse(created) - Date.now()) < 60_000);
  assert.deepEqual({ ...rest, annotations: undefined }, {
    ociVersion: "1.2.0",
    id: container.id,
    status: "created",
    pid,
    bundle: container.bundle,
    rootfs: container.rootfs,
    annotations: undefined,
  });
  assert.equal(state.annotations?.["org.example.key"], "value");
  await container.start();
  assert.equal((await container.state()).pid, pid);
  Deno.kill(pid, "SIGKILL");
  const stopped = await container.waitForStatus("stopped");
  assert.equal(stopped.pid, undefined);
});

testIf("changes to config.json after create have no effect", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "print before; idle");
  await container.mustCreate();
  await Deno.writeTextFile(`${container.bundle}/config.json`, "{}");
  assertSucceeded(await container.start(), "start");
  await container.waitForOutput("before");
});

for (const state of ["created", "running"] as const) {
  testIf(`${state}: a monitor killed from outside is stopped at once`, { needs }, async () => {
    await using scope = new Scope();
    const container = await inState(scope, state);
    const { pid } = await container.state();
    Deno.kill(pid!, "SIGKILL");
    await waitFor(() => !isAlive(pid!), { timeoutSeconds: 5, what: "its end" });
    assert.equal((await container.state()).status, "stopped");
    assertFailed(await container.kill("TERM"), ["container not running"]);
    assertSucceeded(await container.delete(), "delete");
    assertNothingLeft(container, pid);
  });
}

/** prctl(2) by its number on x86-64: a parent that takes orphans in and does not reap them. */
const CARELESS_PARENT = [
  "perl",
  "-e",
  "syscall(157, 36, 1, 0, 0, 0); system(@ARGV) == 0 or die; sleep 60",
];

testIf("a zombie is stopped", { needs: [...needs, "perl"] }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const parent = await container.spawn(scope, "create", { wrapper: CARELESS_PARENT });
  await waitFor(() => container.exists(), { timeoutSeconds: 10, what: "the directory" });
  await waitFor(async () => {
    const { code, stdout } = await container.urunc(["state", container.id]);
    return code === 0 && JSON.parse(stdout).status === "created";
  }, { timeoutSeconds: 10, what: "created" });
  assertSucceeded(await container.start(), "start");
  const { pid } = await container.state();
  assert.equal(readStatus(pid!).ppid, parent.child.pid);
  Deno.kill(pid!, "SIGKILL");
  await waitFor(() => readStatus(pid!).state === "Z", { timeoutSeconds: 5, what: "a zombie" });
  assert.equal((await container.state()).status, "stopped");
  assertFailed(await container.kill("KILL"), ["container not running"]);
  assertSucceeded(await container.delete(), "delete");
  assert.equal(readStatus(pid!).state, "Z");
  parent.child.kill("SIGKILL");
  await parent.code;
  assertNothingLeft(container, pid);
});
