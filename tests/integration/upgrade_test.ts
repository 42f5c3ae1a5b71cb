/** The executable is replaced, as a package manager does it, while containers made by it are there. */
import assert from "node:assert/strict";
import { type CommandResult, run, waitFor } from "../support/process.ts";
import {
  assertNothingLeft,
  assertSucceeded,
  Container,
  doubleContainer,
  linuxContainer,
} from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { uruncBinary } from "../support/urunc.ts";

const needs = ["root", "gcc"];

/** Set: the executable of an earlier version, which makes the containers, in the place of the same one. */
const PREVIOUS = "URUNC_PREVIOUS";

/** An installed executable that can be replaced. */
interface Installation {
  path: string;
  /** Puts another file, which holds the executable under test, in its place. */
  upgrade(): Promise<void>;
}

async function install(scope: Scope): Promise<Installation> {
  const path = `${await scope.temporaryDirectory("install")}/urunc`;
  const source = await uruncBinary();
  await Deno.copyFile(Deno.env.get(PREVIOUS) ?? source, path);
  const upgrade = async () => {
    const { ino } = await Deno.stat(path);
    await Deno.copyFile(source, `${path}.new`);
    await Deno.rename(`${path}.new`, path);
    assert.notEqual((await Deno.stat(path)).ino, ino);
  };
  return { path, upgrade };
}

/** A container that is made by the installed executable, and commands of that on it. */
async function installedContainer(scope: Scope, edit?: Parameters<typeof doubleContainer>[2]) {
  const installation = await install(scope);
  const container = await doubleContainer(scope, "print started; idle", {
    ...edit,
    binary: installation.path,
  });
  const urunc = (...words: string[]) =>
    run([installation.path, "--root", container.root, ...words]);
  return { container, urunc, upgrade: installation.upgrade };
}

type Installed = Awaited<ReturnType<typeof installedContainer>>;

async function assertStatus({ container, urunc }: Installed, status: string): Promise<void> {
  const reported = async () => {
    const state = await urunc("state", container.id);
    assertSucceeded(state, "state");
    return JSON.parse(state.stdout).status;
  };
  // A signal takes its time.
  if (status === "stopped") {
    await waitFor(async () => await reported() === "stopped", {
      timeoutSeconds: 10,
      what: "stopped",
    });
  }
  assert.equal(await reported(), status);
  const { stdout } = await urunc("list", "--format", "json");
  assert.deepEqual(JSON.parse(stdout).map((it: { status: string }) => it.status), [status]);
}

testIf("upgrade: what was created before is started, stopped and deleted", { needs }, async () => {
  await using scope = new Scope();
  const installed = await installedContainer(scope);
  const { container, urunc, upgrade } = installed;
  const pid = await container.mustCreate();
  await upgrade();
  await assertStatus(installed, "created");
  assertSucceeded(await urunc("start", container.id), "start");
  assert.equal(await container.waitForOutput("started"), "started\n");
  await assertStatus(installed, "running");
  assertSucceeded(await urunc("kill", container.id, "TERM"), "kill");
  await assertStatus(installed, "stopped");
  assertSucceeded(await urunc("delete", container.id), "delete");
  assertNothingLeft(container, pid);
});

testIf("upgrade: what was running before is paused, resumed, stopped and deleted", {
  needs,
}, async () => {
  await using scope = new Scope();
  const installed = await installedContainer(scope);
  const { container, urunc, upgrade } = installed;
  const pid = await container.mustStart();
  await container.waitForOutput("started");
  await upgrade();
  await assertStatus(installed, "running");
  for (const [verb, status] of [["pause", "paused"], ["resume", "running"]] as const) {
    assertSucceeded(await urunc(verb, container.id), verb);
    await assertStatus(installed, status);
  }
  assertSucceeded(await urunc("kill", container.id, "KILL"), "kill");
  await assertStatus(installed, "stopped");
  assertSucceeded(await urunc("delete", container.id), "delete");
  assertNothingLeft(container, pid);
});

const ENDINGS: Record<string, (installed: Installed) => Promise<CommandResult>> = {
  "killed and deleted": async ({ container, urunc }) => {
    assertSucceeded(await urunc("kill", container.id, "KILL"), "kill");
    await container.waitForStatus("stopped");
    return await urunc("delete", container.id);
  },
  "deleted by force": ({ container, urunc }) => urunc("delete", "--force", container.id),
};

for (const [ending, end] of Object.entries(ENDINGS)) {
  testIf(`upgrade: what was created before and never started is ${ending}`, {
    needs,
  }, async () => {
    await using scope = new Scope();
    const installed = await installedContainer(scope);
    const pid = await installed.container.mustCreate();
    await installed.upgrade();
    assertSucceeded(await end(installed), ending);
    assertNothingLeft(installed.container, pid);
  });
}

testIf("upgrade: a create continues when it happens in a hook", { needs }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("hook");
  await run(["mkfifo", `${directory}/fifo`], { check: true });
  const hook = {
    path: "/bin/sh",
    args: ["sh", "-c", `touch ${directory}/hook; read x <${directory}/fifo`],
  };
  const installed = await installedContainer(scope, {
    edit: (config) => config.hooks = { createRuntime: [hook] },
  });
  const { container, urunc, upgrade } = installed;
  const create = await container.spawn(scope, "create");
  await waitFor(() => [...Deno.readDirSync(directory)].some((it) => it.name === "hook"), {
    timeoutSeconds: 20,
    what: "the hook",
  });
  await upgrade();
  await assertStatus(installed, "creating");
  await Deno.writeTextFile(`${directory}/fifo`, "go\n");
  assert.equal(await create.code, 0, container.errors());
  await assertStatus(installed, "created");
  assertSucceeded(await urunc("start", container.id), "start");
  await assertStatus(installed, "running");
  assertSucceeded(await urunc("delete", "--force", container.id), "delete --force");
  assertNothingLeft(container);
});

testIf("upgrade: a run that waits for its guest deletes it", { needs }, async () => {
  await using scope = new Scope();
  const installed = await installedContainer(scope);
  const { container, urunc, upgrade } = installed;
  const waiting = await container.spawn(scope, "run");
  await container.waitForOutput("started");
  await upgrade();
  await assertStatus(installed, "running");
  assertSucceeded(await urunc("kill", container.id, "KILL"), "kill");
  assert.equal(await waiting.code, 128 + 9, container.errors());
  assertNothingLeft(container);
});

/** What state.json of version 1 did not have from the beginning: {@linkcode STATE_VERSION} stayed. */
const LATER_FIELDS = ["stop", "systemdUnit", "memoryBytes"];

testIf("upgrade: a state that lacks what came later is read", { needs }, async () => {
  await using scope = new Scope();
  const container: Container = await doubleContainer(scope, "print started; idle");
  const pid = await container.mustCreate();
  const path = `${container.root}/${container.id}/state.json`;
  const state = JSON.parse(Deno.readTextFileSync(path));
  for (const field of LATER_FIELDS) delete state[field];
  Deno.writeTextFileSync(path, JSON.stringify(state));
  assertSucceeded(await container.start(), "start");
  await container.waitForOutput("started");
  const update = ["update", "--memory", "1g", container.id];
  assertSucceeded(await container.urunc(update), "update");
  assertSucceeded(await container.kill("TERM"), "kill");
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete(), "delete");
  assertNothingLeft(container, pid);
});

testIf("upgrade: a guest that was started before keeps its agent", {
  needs: [...needs, "qemu-system-x86_64", "busybox", "cpio", "apt-get"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  const installation = await install(scope);
  const script = 'trap "echo trapped; exit 3" TERM; echo up; while :; do busybox sleep 0.1; done';
  const container = await linuxContainer(scope, {
    args: ["busybox", "sh", "-c", script],
    env: ["PATH=/bin"],
    unikernel: { agent: "on" },
    binary: installation.path,
  });
  const urunc = (...words: string[]) =>
    run([installation.path, "--root", container.root, ...words]);
  const { code } = await container.spawn(scope, "run");
  await container.waitForOutput("up");
  await installation.upgrade();
  const { stdout } = await urunc("list", "--format", "json");
  assert.deepEqual(JSON.parse(stdout).map((it: { status: string }) => it.status), ["running"]);
  assertSucceeded(await urunc("kill", container.id, "TERM"), "kill");
  // Its program's own, from the channel.
  assert.equal(await code, 3);
  assert.equal(container.output(), "up\ntrapped\n");
  assertNothingLeft(container);
});
