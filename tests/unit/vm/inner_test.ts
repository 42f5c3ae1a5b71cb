import assert from "node:assert/strict";
import type { TestOutcome } from "../../support/junit.ts";
import { repositoryDirectory } from "../../support/urunc.ts";
import { InnerRun, ON_NESTED_KVM, type Steps } from "../../vm/_inner.ts";
import { type FileReport, REPORT_MARK } from "../../vm/inside.ts";
import { NodeDoubted } from "../../vm/watch.ts";

/** Whose failures are tried again, and whose are not. */
const KVM_FILE = "tests/vm/node/docker_test.ts";
const OTHER_FILE = "tests/vm/node/systemd_test.ts";

type Outcomes = Record<string, TestOutcome["outcome"] | `skipped: ${string}`>;

function report(file: string, outcomes: Outcomes, leaks: string[] = []): FileReport {
  return {
    file,
    outcomes: Object.entries(outcomes).map(([name, it]) => {
      const [outcome, reason] = it.split(": ") as [TestOutcome["outcome"], string?];
      return { name, file, outcome, ...(reason === undefined ? {} : { reason }) };
    }),
    leaks,
  };
}

/** Stands for a node: it reports this, and then ends, or not. */
function node(reports: FileReport[], files: string[] = []) {
  return {
    async stream(argv: string[], line: (text: string) => void | Promise<void>): Promise<number> {
      files.push(...argv.filter((it) => it.endsWith("_test.ts")));
      for (const it of reports) await line(`${REPORT_MARK}${JSON.stringify(it)}`);
      return 0;
    },
  };
}

/** A run of files, and what its steps came to. */
function innerRun(files: string[]) {
  const steps: string[] = [];
  const context: Steps = {
    step: ({ name, ignore, fn }) => {
      let ended = "ok";
      try {
        fn();
      } catch {
        ended = "FAILED";
      }
      steps.push(`${name}: ${ignore ? "ignored" : ended}`);
      return Promise.resolve(true);
    },
  };
  const warnings: string[] = [];
  const run = new InnerRun(context, files, "", (line) => warnings.push(line));
  return { run, steps, warnings };
}

Deno.test("what fails on nested KVM runs again in another node, which is said of what passes there", async () => {
  const { run, steps, warnings } = innerRun([KVM_FILE, OTHER_FILE]);
  const first = node([
    report(KVM_FILE, { good: "passed", bad: "failed" }),
    report(OTHER_FILE, { other: "passed" }),
  ]);
  await assert.rejects(run.in(first), NodeDoubted);
  assert.deepEqual(warnings, ["FAILED IN A NODE, to be run again in another: bad"]);
  assert.deepEqual(steps, ["other: ok"]);
  const again: string[] = [];
  await run.in(node([report(KVM_FILE, { good: "passed", bad: "passed" })], again));
  assert.deepEqual(again, [KVM_FILE]);
  assert.deepEqual(steps.slice(1), ["good: ok", "bad ~ passed only in another node: ok"]);
});

Deno.test("the other node's word counts", async () => {
  const { run, steps } = innerRun([KVM_FILE]);
  await assert.rejects(run.in(node([report(KVM_FILE, { one: "failed", two: "passed" })])));
  const second = node([report(KVM_FILE, { one: "passed", two: "failed" })]);
  await assert.rejects(run.in(second), /^Error: 1 tests failed in the node$/);
  assert.deepEqual(steps, ["one ~ passed only in another node: ok", "two: FAILED"]);
});

Deno.test("a failure without nested KVM is final", async () => {
  const { run, steps } = innerRun([OTHER_FILE]);
  const error: unknown = await run.in(node([report(OTHER_FILE, { bad: "failed" })])).catch((it) =>
    it
  );
  assert.ok(error instanceof Error && !(error instanceof NodeDoubted), `${error}`);
  assert.deepEqual(steps, ["bad: FAILED"]);
});

Deno.test("what is left on a node is final, whatever another node says", async () => {
  const { run, steps } = innerRun([KVM_FILE]);
  await assert.rejects(
    run.in(node([report(KVM_FILE, { bad: "failed" }, ["mount left: /x (tmpfs)"])])),
    NodeDoubted,
  );
  await assert.rejects(run.in(node([report(KVM_FILE, { bad: "passed" })])), /1 tests failed/);
  assert.deepEqual(steps, [
    `${KVM_FILE}: mount left: /x (tmpfs): FAILED`,
    "bad ~ passed only in another node: ok",
  ]);
});

Deno.test("what a node did not live to see the end of passed only in another", async () => {
  const { run, steps } = innerRun([OTHER_FILE, KVM_FILE]);
  const halting = node([report(OTHER_FILE, { other: "passed" })]);
  await assert.rejects(run.in(halting), /ended with code 0 in the node: .*docker_test/);
  await run.in(node([report(KVM_FILE, { good: "passed" })]));
  assert.deepEqual(steps, ["other: ok", "good ~ passed only in another node: ok"]);
});

Deno.test("only what a node cannot have may skip in it", async () => {
  const { run, steps } = innerRun([OTHER_FILE]);
  const outcomes: Outcomes = {
    a: "skipped: needs the v1 memory controller",
    b: "skipped: needs the v1 cpu, pids and cpuset controllers",
    c: "skipped: needs /dev/kvm",
    d: "skipped: needs docker on PATH",
    e: "skipped: needs a cgroup2 tree",
  };
  await assert.rejects(run.in(node([report(OTHER_FILE, outcomes)])), /3 tests failed/);
  assert.deepEqual(steps, [
    "a ~ skipped: needs the v1 memory controller: ignored",
    "b ~ skipped: needs the v1 cpu, pids and cpuset controllers: ignored",
    "c: skipped in a node: needs /dev/kvm: FAILED",
    "d: skipped in a node: needs docker on PATH: FAILED",
    "e: skipped in a node: needs a cgroup2 tree: FAILED",
  ]);
});

Deno.test("a file without tests fails", async () => {
  const { run, steps } = innerRun([OTHER_FILE]);
  await assert.rejects(run.in(node([report(OTHER_FILE, {})])), /1 tests failed/);
  assert.deepEqual(steps, [`no test ran in ${OTHER_FILE}: FAILED`]);
});

Deno.test("two nodes may report at the same time", async (context) => {
  const outcomes: Outcomes = { a: "passed", b: "passed", c: "passed" };
  await Promise.all(
    ["one: ", "other: "].map((prefix) =>
      new InnerRun(context, [OTHER_FILE], prefix).in(node([report(OTHER_FILE, outcomes)]))
    ),
  );
});

Deno.test("every file that is said to use nested KVM is there, and asks for KVM", () => {
  for (const file of ON_NESTED_KVM) {
    assert.match(Deno.readTextFileSync(`${repositoryDirectory()}${file}`), /"kvm"/, file);
  }
});
