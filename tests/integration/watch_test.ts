/** What `--debug` shows of a container's life: every step, where it hangs, and nothing secret. */
import assert from "node:assert/strict";
import { waitFor } from "../support/process.ts";
import { assertFailed, assertSucceeded, Container, doubleContainer } from "../support/runtime.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const needs = ["root", "gcc"];
const DEBUG = ["--debug", "--log-format", "json"];

interface Line {
  level: string;
  msg: string;
  time: string;
  ms?: number;
  [field: string]: unknown;
}

/** Lines of a log in JSON; throws for a line that is not. */
function parseLog(text: string): Line[] {
  return text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line));
}

/** The kinds of the steps of one plan, as the log has them; fails unless they are counted on. */
function stepsOf(log: Line[], phase: "namespaces" | "launch"): string[] {
  const steps = log.flatMap(({ msg }) => {
    const [, index, kind] = new RegExp(`^${phase} step (\\d+) (\\w+)`).exec(msg) ?? [];
    return index === undefined ? [] : [{ index: Number(index), kind: kind! }];
  });
  assert.deepEqual(steps.map(({ index }) => index), steps.map((_, index) => index));
  // A dry run makes no cgroup that rules could be written to.
  return steps.map(({ kind }) => kind).filter((kind) => !kind.startsWith("device"));
}

testIf("run logs every step of both plans once, in their order", {
  needs: ["root", "qemu-system-x86_64"],
}, async () => {
  await using scope = new Scope();
  const container = await Container.prepare(scope, {
    args: ["hello", "Hi", "0"],
    accelerator: "tcg",
    globals: DEBUG,
  });
  const dry = await container.create({ args: ["--dry-run"] });
  const plans = JSON.parse(dry.stdout) as Record<string, { steps: { step: string }[] }>;
  const ran = await container.run();
  assertSucceeded(ran, "run");
  const log = parseLog(ran.stderr);
  for (const phase of ["namespaces", "launch"] as const) {
    assert.deepEqual(stepsOf(log, phase), plans[phase]!.steps.map(({ step }) => step));
  }
  // The barrier is reached, and left when somebody else says so.
  const steps = log.filter(({ msg }) => / step \d+ (?!barrier)/.test(msg));
  assert.deepEqual(steps.filter(({ ms }) => typeof ms !== "number"), []);
  for (const { level, time } of log) {
    assert.equal(level, "debug");
    assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  }
  const said = log.map(({ msg }) => msg);
  for (
    const expected of [
      /^urunc .*: run$/,
      /^the container is a guest: its annotations describe one$/,
      /^accelerator tcg: the image asks for emulation$/,
      /^exec urunc-monitor .* -- \/usr\/bin\/qemu-system-x86_64 -machine q35,/,
      /^create: launch$/,
      /^start: exec$/,
      /^the monitor exited$/,
      /^delete: remove the cgroup$/,
    ]
  ) {
    assert.ok(said.some((msg) => expected.test(msg)), `${expected} in ${said.join("\n")}`);
  }
});

for (const name of ["createRuntime", "createContainer"] as const) {
  testIf(`a start that hangs in a ${name} hook says so`, { needs }, async () => {
    await using scope = new Scope();
    const container = await doubleContainer(scope, "idle", {
      globals: DEBUG,
      edit: (config) => {
        config.hooks = {
          [name]: [
            { path: "/bin/true" },
            { path: "/bin/sleep", args: ["sleep", "4"], env: ["TOKEN=hook-secret"] },
          ],
        };
      },
    });
    const { code } = await container.spawn(scope, "create");
    const begun = `${name} hook /bin/sleep started`;
    await waitFor(() => container.errors().includes(begun) ? true : undefined, {
      timeoutSeconds: 20,
      what: begun,
    });
    // Nothing later than that, and what is waited for, as long as it goes on.
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const last = parseLog(container.errors()).at(-1)!;
    const expected = name === "createRuntime"
      ? begun
      : /^still at: launch step \d+ runHooks createContainer$/;
    assert.match(last.msg, new RegExp(expected));
    assert.equal(await code, 0);
    const log = parseLog(container.errors());
    const ended = log.filter(({ msg }) => msg.startsWith(`${name} hook`));
    assert.deepEqual(ended.map(({ msg, exit }) => [msg, exit]), [
      [`${name} hook /bin/true started`, undefined],
      [`${name} hook /bin/true exited`, 0],
      [begun, undefined],
      [`${name} hook /bin/sleep exited`, 0],
    ]);
    assert.ok(ended.at(-1)!.ms! >= 3900, JSON.stringify(ended.at(-1)));
    assert.doesNotMatch(container.errors(), /secret/);
  });
}

testIf("a failed hook's error does not show its environment", { needs }, async () => {
  await using scope = new Scope();
  for (const name of ["createRuntime", "createContainer"]) {
    const container = await doubleContainer(scope, "idle", {
      edit: (config) => {
        config.hooks = { [name]: [{ path: "/bin/false", env: ["TOKEN=hook-secret"] }] };
      },
    });
    const created = await container.create();
    assertFailed(created, [`run ${name} hook /bin/false`, "exit code 1"]);
    assert.doesNotMatch(created.stderr, /secret/);
  }
});

testIf("no value of the guest's environment is in any line of a container's life", {
  needs,
}, async () => {
  await using scope = new Scope();
  const file = `${await scope.temporaryDirectory("log")}/log.json`;
  const container = await doubleContainer(scope, "idle", {
    unikernelType: "linux",
    unikernel: { environment: "cmdline" },
    args: ["/init", "idle"],
    env: ["TOKEN=guest-secret", "PATH=/secret/bin"],
    globals: [...DEBUG, "--log", file],
  });
  const created = await container.create();
  assertSucceeded(created, "create");
  assertSucceeded(await container.start(), "start");
  assertSucceeded(await container.kill("KILL"), "kill");
  await container.waitForStatus("stopped");
  assertSucceeded(await container.delete(), "delete");
  const text = await Deno.readTextFile(file);
  const log = parseLog(text);
  assert.match(log.find(({ msg }) => msg.startsWith("exec "))!.msg, / TOKEN=\* /);
  assert.doesNotMatch(text, /secret/);
  assert.doesNotMatch(created.stderr, /secret/);
});

testIf("nothing is logged without --debug", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const created = await container.create();
  assertSucceeded(created, "create");
  assert.equal(created.stderr, "");
});

testIf("the timeline of a start: phases add up to what the commands took", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const began = performance.now();
  await container.mustStart();
  const took = performance.now() - began;
  const { stdout: table } = await container.urunc(["events", "--timeline", container.id], {
    check: true,
  });
  const rows = table.trimEnd().split("\n").slice(1).map((line) => {
    const [, indent, name, ms] = /^( *)(\S.*?) +([\d.]+) +\d+ %$/.exec(line)!;
    return { depth: indent!.length / 2, name: name!, ms: Number(ms) };
  });
  const at = (depth: number) => rows.filter((row) => row.depth === depth);
  const sum = (of: typeof rows) => of.reduce((total, { ms }) => total + ms, 0);
  const whole = rows.at(-1)!;
  assert.deepEqual(at(0).map(({ name }) => name), ["create", "start", "together"]);
  assert.ok(Math.abs(sum(at(1)) - whole.ms) < 0.5, table);
  for (const name of ["boot", "read bundle", "plan", "namespaces", "network", "launch", "exec"]) {
    assert.ok(at(1).some((row) => row.name === name), table);
  }
  // The commands themselves take longer: the shell around them, `state` between them and their ends.
  assert.ok(whole.ms < took && whole.ms > took / 5, `${whole.ms} of ${took} ms\n${table}`);

  const trace = JSON.parse(
    (await container.urunc(["events", "--timeline", "--format", "trace", container.id], {
      check: true,
    })).stdout,
  );
  const events: { ph: string; cat: string; ts: number; dur: number }[] = trace.traceEvents.filter(
    ({ ph }: { ph: string }) => ph === "X",
  );
  assert.deepEqual([...new Set(events.map(({ cat }) => cat))], [
    "create",
    "namespaces",
    "launch",
    "start",
  ]);
  for (const { cat, ts, dur } of events) {
    // The clocks of several processes are one.
    const outer = events.find((it) => it.cat === (cat === "start" ? "start" : "create"))!;
    assert.ok(ts >= outer.ts && ts + dur <= outer.ts + outer.dur + 1000, JSON.stringify(events));
  }
});

testIf("a missing container has no timeline", { needs: ["root"] }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const events = await container.urunc(["events", "--timeline", container.id]);
  assertFailed(events, [`container "${container.id}" does not exist`]);
});

/** Calls in a stack trace of the log's last line. */
function callsOf(log: Line[]): { name: string; file: string; line: number }[] {
  return log.at(-1)!.msg.split("\n").flatMap((text) => {
    const [, name, file, line] = /^ {4}at (.*) \(((?:lib|ffi)\/.*\.ts):(\d+)\)$/.exec(text) ?? [];
    return name === undefined ? [] : [{ name, file: file!, line: Number(line) }];
  });
}

testIf("a stack trace of the executable names functions, files and lines", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle");
  const missing = await container.urunc(["state", container.id], { globals: DEBUG });
  const calls = callsOf(parseLog(missing.stderr));
  assert.deepEqual(calls.slice(0, 3).map(({ name, file }) => [name, file]), [
    ["notFound", "lib/container/store.ts"],
    ["Store.open", "lib/container/store.ts"],
    ["formatState", "lib/cli/verbs/state.ts"],
  ]);
  // And the line is the one where the next call is.
  for (
    const [index, text] of [[0, "new NotFoundError("], [1, "notFound("], [2, ".open("]] as const
  ) {
    const { file, line } = calls[index]!;
    const source = Deno.readTextFileSync(`${repositoryDirectory()}${file}`).split("\n");
    assert.ok(source[line - 1]!.includes(text), `${file}:${line}: ${source[line - 1]}`);
  }
  const silent = await container.urunc(["state", container.id]);
  assert.doesNotMatch(silent.stderr, /\.ts/);
});

testIf("a step that fails in init has a stack trace, too", { needs }, async () => {
  await using scope = new Scope();
  const container = await doubleContainer(scope, "idle", {
    globals: DEBUG,
    edit: (config) => config.hooks = { createContainer: [{ path: "/no/such/hook" }] },
  });
  const created = await container.create();
  const log = parseLog(created.stderr);
  const stack = log.filter(({ msg }) => msg.includes("\n    at runHooks (lib/hooks.ts:"));
  assert.equal(stack.length, 1, created.stderr);
});

testIf("a warning reaches a person although the log is a file", { needs }, async () => {
  await using scope = new Scope();
  const file = `${await scope.temporaryDirectory("log")}/log.json`;
  // As containerd's shim for runc calls it: what `create` writes is the container's standard error.
  const container = await doubleContainer(scope, "idle", {
    globals: ["--log", file, "--log-format", "json"],
    edit: (config) => {
      config.process.cwd = "/app";
      config.hooks = { poststart: [{ path: "/bin/false" }] };
    },
  });
  const created = await container.create();
  assertSucceeded(created, "create");
  assert.match(created.stderr, /^urunc: warning: config\.json process\.cwd \/app: .*\n$/);
  const started = await container.start();
  assertSucceeded(started, "start");
  assert.match(started.stderr, /^urunc: warning: run poststart hook \/bin\/false: exit code 1\n$/);
  const log = parseLog(await Deno.readTextFile(file));
  assert.deepEqual(log.map(({ level }) => level), ["warning", "warning"]);
});
