/** Test files that run in a node, each test of theirs a step of a test here. */
import assert from "node:assert/strict";
import type { TestOutcome } from "../support/junit.ts";
import { skippedName } from "../support/skip.ts";
import type { VmNode } from "./node.ts";
import { NODE_DENO_DIR, NODE_REPOSITORY } from "./payload.ts";

const REPORT = "/var/tmp/report";

/**
 * Runs test files in the node; what they print is printed here.
 *
 * @param context gets a step for each test, and one for each thing that was left on the node
 * @param files relative to the repository
 * @throws Error when they did not come to an end, or one failed
 */
export async function runInside(
  context: Deno.TestContext,
  node: VmNode,
  files: string[],
  timeoutSeconds: number,
): Promise<void> {
  const flags = ["-A", "--no-check", "--no-lock", "--cached-only"];
  const code = await node.stream(
    ["deno", "run", ...flags, "tests/vm/inside.ts", REPORT, ...files],
    {
      cwd: NODE_REPOSITORY,
      env: { DENO_DIR: NODE_DENO_DIR, DENO_NO_UPDATE_CHECK: "1", NO_COLOR: "1" },
      timeoutSeconds,
    },
  );
  if (code !== 0) throw new Error(`the tests in the node ended with code ${code}`);
  const report = await node.run(["cat", REPORT], { check: true });
  const outcomes: TestOutcome[] = JSON.parse(report.stdout);
  assert.ok(outcomes.length > 0, "no test ran in the node");
  for (const { name, outcome, reason = "" } of outcomes) {
    await context.step({
      name: outcome === "skipped" ? skippedName(name, reason) : name,
      ignore: outcome === "skipped",
      fn: () => {
        if (outcome === "failed") throw new InnerFailure();
      },
    });
  }
  const failed = outcomes.filter((it) => it.outcome === "failed").length;
  if (failed > 0) throw new Error(`${failed} tests failed in the node`);
}

/** Its stack would say nothing: what happened, happened in the node. */
class InnerFailure extends Error {
  constructor() {
    super("failed in the node: see its output above");
    this.stack = this.message;
  }
}
