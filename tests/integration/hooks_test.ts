/** Hooks: where each runs, what it gets, and what its failure leads to (config.md, "Hooks"). */
import assert from "node:assert/strict";
import { readCgroupLayout } from "../../lib/cgroups/layout.ts";
import { listPids, readCommandLine } from "../support/process.ts";
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

const NAMES = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
type Name = typeof NAMES[number];

const NAMESPACES = ["mnt", "net", "ipc", "uts", "pid"] as const;

interface Hook {
  path: string;
  args?: string[];
  env?: string[];
  timeout?: number;
}

/** What a hook wrote down of itself. */
interface Seen {
  state: { id: string; status: string; pid?: number; bundle: string; ociVersion: string };
  namespaces: string[];
  environment: string;
  sees: string;
}

/** A hook that writes down what it sees, and its name into the file `order`. */
function recorder(directory: string, name: Name): Hook {
  const links = NAMESPACES.map((it) => `/proc/self/ns/${it}`).join(" ");
  const script = [
    `cat >${directory}/${name}.state`,
    `readlink ${links} >${directory}/${name}.namespaces`,
    `tr "\\0" "\\n" </proc/self/environ >${directory}/${name}.environment`,
    `ls -d /etc/shadow ${directory} >${directory}/${name}.sees`,
    `echo ${name} >>${directory}/order`,
  ].join("; ");
  return { path: "/bin/sh", args: ["hook", "-c", script], env: ["PATH=/usr/bin", `NAME=${name}`] };
}

async function readSeen(directory: string, name: Name): Promise<Seen> {
  const read = (kind: string) => Deno.readTextFile(`${directory}/${name}.${kind}`);
  return {
    state: JSON.parse(await read("state")),
    namespaces: (await read("namespaces")).trim().split("\n"),
    environment: await read("environment"),
    sees: await read("sees"),
  };
}

function namespacesOf(pid: number | "self"): string[] {
  return NAMESPACES.map((it) => Deno.readLinkSync(`/proc/${pid}/ns/${it}`));
}

async function hookedContainer(
  scope: Scope,
  hooks: (directory: string) => Partial<Record<Name, Hook[]>>,
): Promise<{ container: Container; directory: string; order(): string[] }> {
  const directory = await scope.temporaryDirectory("hooks");
  const container = await doubleContainer(scope, "idle", {
    edit: (config) => config.hooks = hooks(directory),
  });
  const order = () => {
    try {
      return Deno.readTextFileSync(`${directory}/order`).trim().split("\n");
    } catch {
      return [];
    }
  };
  return { container, directory, order };
}

const everyRecorder = (directory: string) =>
  Object.fromEntries(NAMES.map((name) => [name, [recorder(directory, name)]]));

testIf("hooks run in their order, in their namespaces, with the state", { needs }, async () => {
  await using scope = new Scope();
  const { container, directory, order } = await hookedContainer(scope, everyRecorder);
  const pid = await container.mustCreate();
  assert.deepEqual(order(), NAMES.slice(0, 4));
  const own = namespacesOf("self");
  const inside = namespacesOf(pid);
  assert.ok(inside.every((it, index) => it !== own[index]));
  assertSucceeded(await container.start(), "start");
  assert.deepEqual(order(), NAMES.slice(0, 5));
  await container.kill("KILL");
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete(), "delete");
  assert.deepEqual(order(), NAMES);

  const expected: Record<Name, { namespaces: string[]; status: string; pid?: number }> = {
    prestart: { namespaces: own, status: "creating", pid },
    createRuntime: { namespaces: own, status: "creating", pid },
    createContainer: { namespaces: inside, status: "creating", pid },
    startContainer: { namespaces: inside, status: "creating", pid },
    poststart: { namespaces: own, status: "running", pid },
    poststop: { namespaces: own, status: "stopped" },
  };
  for (const name of NAMES) {
    const seen = await readSeen(directory, name);
    assert.deepEqual(seen.namespaces, expected[name].namespaces, name);
    const { id, bundle } = container;
    assert.deepEqual(
      { ...seen.state, annotations: undefined },
      {
        ociVersion: "1.2.0",
        id,
        bundle,
        status: expected[name].status,
        ...(expected[name].pid === undefined ? {} : { pid }),
        annotations: undefined,
      },
      name,
    );
    // The hook's environment is what config.json says, and its paths are the host's.
    const variables = seen.environment.trim().split("\n").filter((it) => !it.startsWith("PWD="));
    assert.deepEqual(variables.sort(), [`NAME=${name}`, "PATH=/usr/bin"], name);
    assert.equal(seen.sees, `/etc/shadow\n${directory}\n`, name);
  }
});

for (const failing of NAMES.slice(0, 4)) {
  testIf(`a failing ${failing} hook: no container, later hooks not run, poststop run`, {
    needs,
  }, async () => {
    await using scope = new Scope();
    const { container, order } = await hookedContainer(scope, (directory) => ({
      ...everyRecorder(directory),
      [failing]: [
        recorder(directory, failing),
        { path: "/bin/sh", args: ["sh", "-c", "echo its last words; exit 7"] },
        recorder(directory, failing),
      ],
    }));
    assertFailed(await container.create(), [
      `run ${failing} hook /bin/sh`,
      "exit code 7",
      "its last words",
    ]);
    assert.deepEqual(order(), [...NAMES.slice(0, NAMES.indexOf(failing) + 1), "poststop"]);
    assertNothingLeft(container);
  });
}

testIf("a container whose process a hook moves out of its cgroup is not made", {
  needs,
}, async () => {
  await using scope = new Scope();
  // The last hierarchy; with version 2 alone there is no other.
  const { v1, v2 } = readCgroupLayout();
  const root = v2?.mountPoint ?? Object.values(v1).at(-1);
  const script = `pid=$(sed 's/.*"pid": *\\([0-9]*\\).*/\\1/'); echo $pid >${root}/cgroup.procs`;
  const { container } = await hookedContainer(scope, () => ({
    createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", script], env: ["PATH=/usr/bin"] }],
  }));
  assertFailed(await container.create(), [
    `prove the container's cgroup ${root}/urunc/${container.id}`,
    "was moved out of it",
  ]);
  assertNothingLeft(container);
});

testIf("what a failed create could not undo is reported with its error", { needs }, async () => {
  await using scope = new Scope();
  const { container } = await hookedContainer(scope, () => ({
    createRuntime: [{ path: "/bin/sh", args: ["sh", "-c", "exit 7"] }],
    poststop: [{ path: "/bin/false" }],
  }));
  assertFailed(await container.create(), [
    /run createRuntime hook .*exit code 7.*; when it was undone: run poststop hook \/bin\/false/,
  ]);
  assertNothingLeft(container);
});

testIf("a failing poststart or poststop hook is a warning, and the others run", {
  needs,
}, async () => {
  await using scope = new Scope();
  const fail = { path: "/bin/false" };
  const { container, order } = await hookedContainer(scope, (directory) => ({
    poststart: [fail, recorder(directory, "poststart")],
    poststop: [fail, recorder(directory, "poststop")],
  }));
  const pid = await container.mustCreate();
  const started = await container.start();
  assertSucceeded(started, "start");
  assert.match(started.stderr, /level=warning .*run poststart hook \/bin\/false: exit code 1/);
  assert.equal((await container.state()).status, "running");
  const deleted = await container.delete("--force");
  assertSucceeded(deleted, "delete");
  assert.match(deleted.stderr, /level=warning .*run poststop hook \/bin\/false: exit code 1/);
  assert.deepEqual(order(), ["poststart", "poststop"]);
  assertNothingLeft(container, pid);
});

testIf("a hook that takes longer than its timeout is ended with its children", {
  needs,
}, async () => {
  for (const name of ["createRuntime", "createContainer"] as const) {
    await using scope = new Scope();
    const mark = crypto.randomUUID();
    const { container } = await hookedContainer(scope, () => ({
      [name]: [{
        path: "/bin/sh",
        args: ["sh", "-c", `sh -c "sleep 60; : ${mark}"; :`],
        env: ["PATH=/usr/bin"],
        timeout: 1,
      }],
    }));
    const watch = new Stopwatch();
    assertFailed(await container.create(), [`run ${name} hook`, "killed after its timeout of 1 s"]);
    watch.assertWithin(10_000, "the hook's timeout");
    assert.ok(watch.milliseconds() >= 1000);
    const left = listPids().map(readCommandLine).filter((it) => it.join(" ").includes(mark));
    assert.deepEqual(left, []);
    assertNothingLeft(container);
  }
});

testIf("hooks that cannot be run", { needs }, async () => {
  const cases: [hook: Record<string, unknown>, texts: string[]][] = [
    [{ path: "/no/such/hook" }, ["run createRuntime hook /no/such/hook", "ENOENT"]],
    [{ path: "/etc/hostname" }, ["run createRuntime hook /etc/hostname", "EACCES"]],
    [{ path: "/bin/sh", args: ["sh", "-c", "kill -9 $$"] }, ["killed by signal 9"]],
    [{ path: "relative" }, ["hooks.createRuntime[0].path"]],
    [{ path: "/bin/true", timeout: 0 }, ["hooks.createRuntime[0].timeout"]],
  ];
  for (const [hook, texts] of cases) {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", {
      edit: (config) => config.hooks = { createRuntime: [hook] },
    });
    assertFailed(await container.create(), texts);
    assertNothingLeft(container);
  }
});
