/**
 * Runs in a node: `inside.ts FILE…` runs the test files one after another, and after each looks at
 * what it left on the node. A file's report is one line of JSON after {@linkcode REPORT_MARK}.
 */
import { parseJunit, type TestOutcome } from "../support/junit.ts";
import { findLeaks, takeSnapshot } from "../support/leaks.ts";
import { repositoryDirectory } from "../support/urunc.ts";

/** For what is about to end to have ended. */
const SETTLE_SECONDS = 10;

/** What podman and urunc make once and keep. */
const KEPT = [/: \/run\/netns /, /: \/run\/urunc(\/~(ids|libraries))?$/];

/** What the line of a file's report starts with. */
export const REPORT_MARK = "urunc tests in a node: ";

/** What came of a test file. */
export interface FileReport {
  file: string;
  outcomes: TestOutcome[];
  /** What it left on the node, or changed there: a sentence each. */
  leaks: string[];
}

async function main(files: string[]): Promise<void> {
  for (const file of files) {
    console.log(`${REPORT_MARK}${JSON.stringify(await runFile(file))}`);
  }
}

async function runFile(file: string): Promise<FileReport> {
  const junit = await Deno.makeTempFile({ dir: "/var/tmp", suffix: ".xml" });
  const before = takeSnapshot();
  // V8 as tests/run.ts has it.
  const how = ["-A", "--no-check", "--v8-flags=--single-threaded", "--no-lock", "--cached-only"];
  const flags = [...how, `--junit-path=${junit}`];
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["test", ...flags, file],
    cwd: repositoryDirectory(),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();

  const outcomes: TestOutcome[] = parseJunit(await Deno.readTextFile(junit));
  if (code !== 0 && !outcomes.some((it) => it.outcome === "failed")) {
    const name = `the test process ended with code ${code}, though no test failed`;
    outcomes.push({ name, file, outcome: "failed" });
  }
  const end = performance.now() + SETTLE_SECONDS * 1000;
  const look = () =>
    findLeaks(before, takeSnapshot()).filter((leak) => !KEPT.some((it) => it.test(leak)));
  let leaks = look();
  while (leaks.length > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    leaks = look();
  }
  return { file, outcomes, leaks };
}

if (import.meta.main) await main(Deno.args);
