/** How an interrupted run of the tests ends: with the runner itself, and a test of no use. */
import assert from "node:assert/strict";
import { isAlive, listPids, readCommandLine, run, waitFor } from "../support/process.ts";
import { Terminal } from "../support/pty.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { repositoryDirectory } from "../support/urunc.ts";

/** What the runner runs: its clean-up takes a while, and leaves a word. */
const SLOW_TEST = `import { Scope } from "../support/scope.ts";
Deno.test("slow", async () => {
  await using scope = new Scope();
  scope.defer("leave a word", async () => {
    await new Promise((resolve) => setTimeout(resolve, Number(Deno.env.get("SLOW_CLEAN_UP"))));
    await Deno.writeTextFile("cleaned", "");
  });
  await Deno.writeTextFile("new-pid", String(Deno.pid));
  await Deno.rename("new-pid", "pid");
  await new Promise((resolve) => setTimeout(resolve, 60_000));
});
`;

/** A repository of that test only. */
async function makeRepository(scope: Scope, group = "unit"): Promise<string> {
  const directory = await scope.temporaryDirectory("runner");
  const from = repositoryDirectory();
  await Deno.mkdir(`${directory}/tests/${group}`, { recursive: true });
  await run(["cp", "-r", `${from}tests/run.ts`, `${from}tests/support`, `${directory}/tests`], {
    check: true,
  });
  await Deno.copyFile(`${from}deno.json`, `${directory}/deno.json`);
  for (const name of ["ffi", "lib", "tests/lint"]) {
    await Deno.symlink(`${from}${name}`, `${directory}/${name}`);
  }
  await Deno.writeTextFile(`${directory}/tests/${group}/slow_test.ts`, SLOW_TEST);
  return directory;
}

function commandLine(directory: string, group = "unit"): string[] {
  const flags = ["-A", "--no-lock", "--no-check"];
  return [Deno.execPath(), "run", ...flags, `${directory}/tests/run.ts`, group];
}

/** The process of the tests, once the test waits. */
async function waitForTest(directory: string): Promise<number> {
  const text = () => Deno.readTextFile(`${directory}/pid`).catch(() => undefined);
  return Number(await waitFor(text, { timeoutSeconds: 20, what: "the test to run" }));
}

/** A killed runner leaves its temporary files in the repository of the test; no other one is in its way. */
function environment(directory: string, cleanUpMilliseconds: number): Record<string, string> {
  return {
    HOME: Deno.env.get("HOME") ?? "/",
    SLOW_CLEAN_UP: `${cleanUpMilliseconds}`,
    // What is under test here is the runner.
    URUNC_BINARY: "/bin/true",
    TMPDIR: directory,
    XDG_CACHE_HOME: directory,
  };
}

function start(
  scope: Scope,
  directory: string,
  cleanUpMilliseconds: number,
  group?: string,
): Deno.ChildProcess {
  const [program, ...args] = commandLine(directory, group);
  const child = new Deno.Command(program!, {
    args,
    env: environment(directory, cleanUpMilliseconds),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  scope.defer("end the runner and its tests", async () => {
    for (const pid of listPids()) {
      const ours = readCommandLine(pid).some((it) => it.includes(directory));
      if (ours) kill(pid);
    }
    await child.status;
  });
  return child;
}

function kill(pid: number): void {
  try {
    Deno.kill(pid, "SIGKILL");
  } catch { /* it has ended meanwhile */ }
}

function isCleaned(directory: string): boolean {
  return [...Deno.readDirSync(directory)].some((it) => it.name === "cleaned");
}

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

for (
  const { signals, code } of [
    { signals: ["SIGTERM"], code: 143 },
    { signals: ["SIGHUP"], code: 129 },
    // As one Ctrl-C comes from the terminal and from the process that passes it on.
    { signals: ["SIGINT", "SIGINT"], code: 130 },
  ] satisfies { signals: Deno.Signal[]; code: number }[]
) {
  testIf(
    `a test run that gets ${signals.join(" and ")} cleans up and prints its summary`,
    {},
    async () => {
      await using scope = new Scope();
      const directory = await makeRepository(scope);
      const child = start(scope, directory, 500);
      const output = new Response(child.stdout).text();
      const test = await waitForTest(directory);
      for (const signal of signals) {
        child.kill(signal);
        await sleep(100);
      }
      assert.equal((await child.status).code, code);
      assert.ok(isCleaned(directory));
      assert.ok(!isAlive(test));
      const lines = (await output).trimEnd().split("\n");
      assert.equal(lines.at(-2), "interrupted: what had not run is not counted");
      assert.match(lines.at(-1) ?? "", /^\d+ passed, \d+ failed, \d+ skipped$/);
    },
  );
}

testIf(
  "a test run that is interrupted a second time does not wait for the clean-up",
  {},
  async () => {
    await using scope = new Scope();
    const directory = await makeRepository(scope);
    const child = start(scope, directory, 50_000);
    const output = new Response(child.stdout).text();
    const test = await waitForTest(directory);
    child.kill("SIGINT");
    await sleep(2500);
    assert.ok(isAlive(test));
    child.kill("SIGINT");
    assert.equal((await child.status).code, 130);
    assert.ok(!isAlive(test));
    assert.ok(!isCleaned(directory));
    await output;
  },
);

testIf("a second run that tests the same executable is refused, and leaves the first alone", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const directory = await makeRepository(scope, "integration");
  const first = start(scope, directory, 0, "integration");
  const output = new Response(first.stdout).text();
  const test = await waitForTest(directory);
  const env = environment(directory, 0);
  const second = await run(commandLine(directory, "slow"), { env });
  assert.equal(second.code, 1);
  const reason = `another run of the tests is under way in ${directory}/: process ${first.pid}.`;
  assert.ok(second.stderr.startsWith(reason), second.stderr);
  assert.equal(second.stdout, "0 passed, 1 failed, 0 skipped\n");
  assert.ok(isAlive(test));
  first.kill("SIGTERM");
  assert.equal((await first.status).code, 143);
  await output;
});

testIf("two runs of unit tests do not know of each other", {}, async () => {
  await using scope = new Scope();
  const directories = [await makeRepository(scope), await makeRepository(scope)];
  const runs = directories.map((it) => start(scope, it, 0));
  const outputs = runs.map((it) => new Response(it.stdout).text());
  for (const it of directories) await waitForTest(it);
  for (const it of runs) it.kill("SIGTERM");
  for (const it of runs) assert.equal((await it.status).code, 143);
  await Promise.all(outputs);
});

testIf(
  "a name that is unclear is refused with what it could mean, and nothing runs",
  {},
  async () => {
    await using scope = new Scope();
    const directory = await makeRepository(scope);
    const { code, stdout, stderr } = await run(commandLine(directory, "slwo"), {
      env: environment(directory, 0),
    });
    assert.equal(code, 1);
    assert.equal(stderr, "no such group or test: slwo:\n  tests/unit/slow_test.ts\n");
    assert.equal(stdout, "0 passed, 1 failed, 0 skipped\n");
  },
);

testIf("the tests clean up when their runner is killed", {}, async () => {
  await using scope = new Scope();
  const directory = await makeRepository(scope);
  const child = start(scope, directory, 500);
  const output = new Response(child.stdout).text();
  const test = await waitForTest(directory);
  child.kill("SIGKILL");
  await waitFor(() => !isAlive(test), { timeoutSeconds: 20, what: "the tests to end" });
  assert.ok(isCleaned(directory));
  // Nobody holds it any more.
  await output;
});

testIf("a test run whose terminal hangs up cleans up", {}, async () => {
  await using scope = new Scope();
  const directory = await makeRepository(scope);
  const terminal = new Terminal(scope);
  const env = environment(directory, 500);
  const { ended } = terminal.spawn(scope, commandLine(directory), { env });
  const test = await waitForTest(directory);
  await terminal.master.close();
  assert.equal((await ended).exitCode, 129);
  assert.ok(isCleaned(directory));
  assert.ok(!isAlive(test));
});

testIf("the nodes' group runs beside the others, and its output comes in one piece", {
  needs: ["root"],
}, async () => {
  await using scope = new Scope();
  const directory = await makeRepository(scope);
  await Deno.remove(`${directory}/tests/unit/slow_test.ts`);
  await Deno.mkdir(`${directory}/tests/vm`);
  // Each waits for the other's file: one after the other, neither would end.
  const meet = (mine: string, others: string) =>
    `Deno.test("${mine}", async () => {
  console.log("${mine} begins");
  await Deno.writeTextFile("${mine}", Deno.env.get("URUNC_TEST_RUN"));
  for (let n = 0; n < 600; n++) {
    if (await Deno.stat("${others}").catch(() => undefined)) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await Deno.stat("${others}");
  console.log("${mine} ends");
});
`;
  await Deno.writeTextFile(`${directory}/tests/unit/meet_test.ts`, meet("here", "there"));
  await Deno.writeTextFile(`${directory}/tests/vm/meet_test.ts`, meet("there", "here"));

  const { code, stdout } = await run([...commandLine(directory), "vm"], {
    env: environment(directory, 0),
  });
  assert.equal(code, 0, stdout);
  assert.equal(stdout.trimEnd().split("\n").at(-1), "2 passed, 0 failed, 0 skipped");
  const lines = stdout.split("\n");
  const piece = lines.slice(lines.indexOf("there begins"), lines.indexOf("there ends"));
  assert.ok(piece.length > 0 && !piece.includes("here ends"), stdout);
  // What each makes is not the other's leftover, and is the run's.
  const marks = ["here", "there"].map((it) => Deno.readTextFileSync(`${directory}/${it}`));
  assert.notEqual(marks[0], marks[1]);
  assert.equal(marks[0]!.slice(0, -1), marks[1]!.slice(0, -1));
});
