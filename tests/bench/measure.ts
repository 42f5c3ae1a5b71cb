/** How the benchmarks measure: commands in turn, so that whatever else the machine does, it does to all. */
import { run } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";

/** One thing that is timed. */
export interface Measurement {
  operation: string;
  subject: string;
  /** What must have happened before, untimed. */
  prepare: string;
  command: string;
  /** What is cleared away after, untimed. */
  conclude: string;
  /** It is measured when it fails, too. */
  mayFail?: boolean;
}

/** What times of one command are like. Milliseconds. */
export interface Summary {
  minimum: number;
  median: number;
  mean: number;
  /** Of twenty, nineteen were no longer. */
  p95: number;
}

/** More of them than a quarter of the rounds, and there is no result. */
const TOLERATED_FAILURES = 0.25;

/**
 * Times commands in rounds. Each stands in every place of a round equally often: what one leaves to be
 * done after its end is not always at the same other's expense.
 *
 * @returns what was found of each measurement
 * @throws Error when a command fails time and again
 */
export async function measure(
  scope: Scope,
  measurements: readonly Measurement[],
  rounds: number,
): Promise<Summary[]> {
  const results = `${await scope.temporaryDirectory("bench-results")}/results.json`;
  const argv = ["hyperfine", "-N", "-i", "--style", "none", "--runs", "1"];
  argv.push("--export-json", results);
  // hyperfine runs commands in the order given: each is named once a round.
  const order: number[] = [];
  for (let round = 0; round < rounds; round++) {
    for (let place = 0; place < measurements.length; place++) {
      const index = (place + round) % measurements.length;
      const { prepare, command, conclude } = measurements[index]!;
      order.push(index);
      argv.push("--prepare", prepare, "--conclude", conclude, command);
    }
  }
  await run(argv, { timeoutSeconds: 900, check: true });
  const { results: runs } = JSON.parse(await Deno.readTextFile(results)) as {
    results: { times: number[]; exit_codes: number[] }[];
  };
  return measurements.map(({ command, mayFail }, index) => {
    const own = runs.filter((_, place) => order[place] === index);
    const whole = own.filter((it) => mayFail || it.exit_codes[0] === 0);
    const failed = own.length - whole.length;
    if (failed > 0) console.log(`${command}: failed in ${failed} of ${own.length} rounds`);
    if (failed > own.length * TOLERATED_FAILURES) throw new Error(`${command}: it fails`);
    return summarize(whole.map((it) => it.times[0]! * 1000));
  });
}

function summarize(values: number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return {
    minimum: sorted[0]!,
    median: sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2,
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    p95: sorted[Math.ceil(sorted.length * 0.95) - 1]!,
  };
}
