/** Test files that run in a node, each test of theirs a step of a test here. */
import type { TestOutcome } from "../support/junit.ts";
import { NODE_MARK, skippedName } from "../support/skip.ts";
import { REPORT_MARK } from "./inside.ts";
import type { VmNode } from "./node.ts";
import { NODE_DENO_DIR, NODE_REPOSITORY } from "./payload.ts";
import { NodeDoubted } from "./watch.ts";

/** More than any test in a node may take by itself: what is silent for longer stands still. */
const SILENT_SECONDS = 420;

/**
 * Test files to run in a node, or in more: what ran to its end in one does not run again, except that a
 * file with a failure runs once more in another node, whose word counts.
 */
export class InnerRun {
  readonly #context: Deno.TestContext;
  readonly #pending: string[];
  readonly #prefix: string;
  readonly #doubted = new Set<string>();
  readonly #again: string[] = [];
  #failed = 0;

  /**
   * @param context gets a step for each test, and one for each thing that was left on the node
   * @param files relative to the repository
   * @param prefix of the steps' names
   */
  constructor(context: Deno.TestContext, files: string[], prefix = "") {
    this.#context = context;
    this.#pending = [...files];
    this.#prefix = prefix;
  }

  /**
   * Runs what has not run to its end yet; what the files print is printed here.
   *
   * @throws NodeDoubted when files are to run again in another node
   * @throws Error when the files did not come to their ends, or a test failed
   */
  async in(node: VmNode): Promise<void> {
    this.#pending.unshift(...this.#again.splice(0));
    if (this.#pending.length === 0) return this.#judge();
    const flags = ["-A", "--no-check", "--no-lock", "--cached-only"];
    const code = await node.stream(
      ["deno", "run", ...flags, "tests/vm/inside.ts", ...this.#pending],
      (line) => this.#hear(line),
      {
        cwd: NODE_REPOSITORY,
        env: {
          [NODE_MARK]: "1",
          DENO_DIR: NODE_DENO_DIR,
          DENO_NO_UPDATE_CHECK: "1",
          NO_COLOR: "1",
        },
        silentSeconds: SILENT_SECONDS,
      },
    );
    if (this.#pending.length > 0) {
      throw new Error(`ended with code ${code} in the node: ${this.#pending[0]}`);
    }
    if (this.#again.length > 0) throw new NodeDoubted(`to be run again: ${this.#again.join(" ")}`);
    this.#judge();
  }

  #judge(): void {
    if (this.#failed > 0) throw new Error(`${this.#failed} tests failed in the node`);
  }

  async #hear(line: string): Promise<void> {
    if (!line.startsWith(REPORT_MARK)) return console.log(line);
    const { file, outcomes }: { file: string; outcomes: TestOutcome[] } = JSON.parse(
      line.slice(REPORT_MARK.length),
    );
    this.#pending.splice(this.#pending.indexOf(file), 1);
    const failures = outcomes.filter((it) => it.outcome === "failed").map((it) => it.name);
    if (failures.length > 0 && !this.#doubted.has(file)) {
      this.#doubted.add(file);
      this.#again.push(file);
      return console.error(`FAILED IN A NODE, to be run again in another: ${failures.join("; ")}`);
    }
    if (outcomes.length === 0) await this.#step({ name: `no test ran in ${file}`, failed: true });
    for (const { name, outcome, reason = "" } of outcomes) {
      const skipped = outcome === "skipped";
      await this.#step({
        name: skipped ? skippedName(name, reason) : name,
        failed: outcome === "failed",
        skipped,
      });
    }
  }

  async #step(it: { name: string; failed: boolean; skipped?: boolean }): Promise<void> {
    if (it.failed) this.#failed++;
    await this.#context.step({
      name: this.#prefix + it.name,
      ignore: it.skipped ?? false,
      fn: () => {
        if (it.failed) throw new InnerFailure();
      },
    });
  }
}

/** Its stack would say nothing: what happened, happened in the node. */
class InnerFailure extends Error {
  constructor() {
    super("failed in the node: see its output above");
    this.stack = this.message;
  }
}
