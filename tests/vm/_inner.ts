/** Test files that run in a node, each test of theirs a step of a test here. */
import { anotherNodeName, NODE_MARK, skippedName } from "../support/skip.ts";
import { type FileReport, REPORT_MARK } from "./inside.ts";
import type { VmNode } from "./node.ts";
import { NODE_DENO_DIR, NODE_REPOSITORY } from "./payload.ts";
import { NodeDoubted } from "./watch.ts";

/** More than any test in a node may take by itself: what is silent for longer stands still. */
const SILENT_SECONDS = 420;

/** In the environment: `all` has tests/vm/node/agent_test.ts run every caller with every exit code. */
export const EXIT_CODES_VARIABLE = "URUNC_EXIT_CODES";

/**
 * The files with guests on nested KVM, which corrupts a node now and then: only what fails in them may
 * be the node's fault. The others' failures are final.
 */
export const ON_NESTED_KVM: ReadonlySet<string> = new Set([
  ...["agent", "block", "cgroups", "docker", "install", "kvm_group", "podman", "shim", "terminal"]
    .map((name) => `tests/vm/node/${name}_test.ts`),
  "tests/integration/identity_test.ts",
  "tests/integration/memory_test.ts",
]);

/** What a node cannot have. All else that tests need is in its image, or the image lacks it. */
function maySkip(reason: string): boolean {
  return /^needs the v1 [\w, ]+ controllers?$/.test(reason);
}

/** The part of a test's context that is used. */
export interface Steps {
  step(definition: Omit<Deno.TestStepDefinition, "fn"> & { fn: () => void }): Promise<boolean>;
}

/**
 * Test files to run in a node, or in more: what ran to its end in one does not run again, except that a
 * file of {@linkcode ON_NESTED_KVM} with a failure runs once more in another node, whose word counts.
 * What passes only there bears it in its step's name; what is left on a node is a failure for good, and
 * so is what skips for want of something that a node has.
 */
export class InnerRun {
  readonly #context: Steps;
  readonly #pending: string[];
  readonly #prefix: string;
  readonly #warn: (line: string) => void;
  /** By file: which tests failed in an earlier node. */
  readonly #doubted = new Map<string, string[]>();
  /** Files that a node did not live to see the end of. */
  readonly #cutShort = new Set<string>();
  readonly #again: string[] = [];
  #nodes = 0;
  #failed = 0;

  /**
   * @param context gets a step for each test, and one for each thing that was left on the node
   * @param files relative to the repository
   * @param prefix of the steps' names, and of the files' lines
   * @param warn prints what is to run again
   */
  constructor(
    context: Steps,
    files: string[],
    prefix = "",
    warn: (line: string) => void = console.error,
  ) {
    this.#context = context;
    this.#pending = [...files];
    this.#prefix = prefix;
    this.#warn = warn;
  }

  /**
   * Runs what has not run to its end yet; what the files print is printed here.
   *
   * @throws NodeDoubted when files are to run again in another node
   * @throws Error when the files did not come to their ends, or a test failed
   */
  async in(node: Pick<VmNode, "stream">): Promise<void> {
    const running = this.#pending[0];
    if (this.#nodes++ > 0 && running !== undefined) this.#cutShort.add(running);
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
          [EXIT_CODES_VARIABLE]: Deno.env.get(EXIT_CODES_VARIABLE) ?? "",
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
    if (!line.startsWith(REPORT_MARK)) return console.log(line && this.#prefix + line);
    const { file, outcomes, leaks }: FileReport = JSON.parse(line.slice(REPORT_MARK.length));
    this.#pending.splice(this.#pending.indexOf(file), 1);
    for (const leak of leaks) await this.#step({ name: `${file}: ${leak}`, failed: true });
    const failures = outcomes.filter((it) => it.outcome === "failed").map((it) => it.name);
    if (failures.length > 0 && ON_NESTED_KVM.has(file) && !this.#doubted.has(file)) {
      this.#doubted.set(file, failures);
      this.#again.push(file);
      return this.#warn(`FAILED IN A NODE, to be run again in another: ${failures.join("; ")}`);
    }
    if (outcomes.length === 0) await this.#step({ name: `no test ran in ${file}`, failed: true });
    for (const { name, outcome, reason = "" } of outcomes) {
      if (outcome === "passed") {
        const anew = this.#cutShort.has(file) || this.#doubted.get(file)?.includes(name);
        await this.#step({ name: anew ? anotherNodeName(name) : name, failed: false });
      } else if (outcome === "skipped" && !maySkip(reason)) {
        await this.#step({ name: `${name}: skipped in a node: ${reason}`, failed: true });
      } else if (outcome === "skipped") {
        await this.#step({ name: skippedName(name, reason), failed: false, skipped: true });
      } else {
        await this.#step({ name, failed: true });
      }
    }
  }

  async #step(it: { name: string; failed: boolean; skipped?: boolean }): Promise<void> {
    if (it.failed) this.#failed++;
    await this.#context.step({
      name: this.#prefix + it.name,
      ignore: it.skipped ?? false,
      // Another node's steps may come at the same time, which only steps without these may.
      sanitizeExit: false,
      sanitizeOps: false,
      sanitizeResources: false,
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
