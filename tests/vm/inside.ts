/**
 * Runs in a node: `inside.ts REPORT FILE…` runs the test files, looks at what they left on the node,
 * and writes all outcomes to REPORT as JSON.
 */
import { parseJunit, type TestOutcome } from "../support/junit.ts";
import { findLeaks, takeSnapshot } from "../support/leaks.ts";
import { repositoryDirectory } from "../support/urunc.ts";

/** For what is about to end to have ended. */
const SETTLE_SECONDS = 10;

/** What podman and urunc make once and keep. */
const KEPT = [/: \/run\/netns /, /: \/run\/urunc$/];

async function main([report, ...files]: string[]): Promise<void> {
  if (report === undefined) throw new Error("inside: no report");
  const junit = `${report}.xml`;
  const before = takeSnapshot();
  const flags = ["-A", "--no-check", "--no-lock", "--cached-only", `--junit-path=${junit}`];
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["test", ...flags, ...files],
    cwd: repositoryDirectory(),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();

  const outcomes: TestOutcome[] = parseJunit(await Deno.readTextFile(junit));
  const failure = (name: string): TestOutcome => ({ name, file: "node", outcome: "failed" });
  if (code !== 0 && !outcomes.some((it) => it.outcome === "failed")) {
    outcomes.push(failure(`the test process ended with code ${code}, though no test failed`));
  }
  const end = performance.now() + SETTLE_SECONDS * 1000;
  const look = () =>
    findLeaks(before, takeSnapshot()).filter((leak) => !KEPT.some((it) => it.test(leak)));
  let leaks = look();
  while (leaks.length > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    leaks = look();
  }
  outcomes.push(...leaks.map(failure));
  await Deno.writeTextFile(report, JSON.stringify(outcomes));
}

if (import.meta.main) await main(Deno.args);
