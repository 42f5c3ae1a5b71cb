/** How the benchmarks measure: commands in turn, so that whatever else the machine does, it does to all. */
import { run } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";
import { type Row, summarize, type Summary } from "./table.ts";

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
  /**
   * What is measured: the time until the command ends, or what processors spent on it and on the
   * descendants that it has waited for. The first by default.
   */
  of?: "wall" | "processor";
}

/** More of them than a quarter of the rounds, and there is no result. */
const TOLERATED_FAILURES = 0.25;

/** One call of hyperfine takes the commands of so many rounds at most: execve(2) limits the arguments. */
const ROUNDS_AT_ONCE = 25;

/** What hyperfine reports of one run. Seconds. */
interface Run {
  times: number[];
  exit_codes: number[];
  user: number;
  system: number;
}

/**
 * Times commands in rounds. Each stands in every place of a round equally often: what one leaves to be
 * done after its end is not always at the same other's expense.
 *
 * @param wrapper program and arguments that the measuring is put behind
 * @returns what was found of each measurement, in milliseconds
 * @throws Error when a command fails time and again
 */
export async function measure(
  scope: Scope,
  measurements: readonly Measurement[],
  rounds: number,
  wrapper: readonly string[] = [],
): Promise<Summary[]> {
  const runs: Run[][] = measurements.map(() => []);
  for (let first = 0; first < rounds; first += ROUNDS_AT_ONCE) {
    const order = orderOf(measurements.length, first, Math.min(rounds, first + ROUNDS_AT_ONCE));
    const results = await runInOrder(scope, order.map((it) => measurements[it]!), wrapper);
    results.forEach((it, place) => runs[order[place]!]!.push(it));
  }
  return measurements.map(({ command, mayFail, of }, index) => {
    const own = runs[index]!;
    const whole = own.filter((it) => mayFail || it.exit_codes[0] === 0);
    const failed = own.length - whole.length;
    if (failed > 0) console.log(`${command}: failed in ${failed} of ${own.length} rounds`);
    if (failed > own.length * TOLERATED_FAILURES) throw new Error(`${command}: it fails`);
    return summarize(whole.map((it) => 1000 * secondsOf(it, of)));
  });
}

function secondsOf({ times, user, system }: Run, of: Measurement["of"]): number {
  return of === "processor" ? user + system : times[0]!;
}

/** Which measurement is run when. */
function orderOf(count: number, first: number, end: number): number[] {
  const order: number[] = [];
  for (let round = first; round < end; round++) {
    for (let place = 0; place < count; place++) order.push((place + round) % count);
  }
  return order;
}

async function runInOrder(
  scope: Scope,
  measurements: readonly Measurement[],
  wrapper: readonly string[],
): Promise<Run[]> {
  const results = `${await scope.temporaryDirectory("bench-results")}/results.json`;
  const argv = [...wrapper, "hyperfine", "-N", "-i", "--style", "none", "--runs", "1"];
  argv.push("--export-json", results);
  // hyperfine runs commands in the order given: each is named once a round.
  for (const { prepare, command, conclude } of measurements) {
    argv.push("--prepare", prepare, "--conclude", conclude, command);
  }
  await run(argv, { timeoutSeconds: 900, check: true });
  return (JSON.parse(await Deno.readTextFile(results)) as { results: Run[] }).results;
}

/**
 * Puts the measurements of one operation into one row.
 *
 * @param row what it is called, and what it is compared with
 */
export function rowOf(
  row: Omit<Row, "values">,
  measurements: readonly Measurement[],
  summaries: readonly Summary[],
): Row {
  const values = measurements.flatMap(({ operation, subject }, index) =>
    operation === row.name ? [{ subject, ...summaries[index]! }] : []
  );
  return { ...row, values };
}
