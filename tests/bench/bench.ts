/**
 * `deno task bench [ROUNDS]`: what a caller waits for, ours and runc's, as ratios of one run.
 *
 * The commands are interleaved (hyperfine runs them in the order given, so each is named once a
 * round): whatever else the machine does, it does to both.
 */
import { doubleConfiguration } from "../support/double.ts";
import { makeBundle } from "../support/fixtures.ts";
import { installPackages, TEST_PACKAGES } from "../support/packages.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { repositoryDirectory, uruncBinary } from "../support/urunc.ts";
import { makeRuncBundle } from "./runc_bundle.ts";

const DEFAULT_ROUNDS = 25;
const HYPERFINE = { package: "hyperfine", purpose: "measures" };
/** Not that of another run at the same time: cgroups are made by it. */
const ID = `bench-${Deno.pid}`;

/** One thing that is timed. */
interface Measurement {
  operation: string;
  subject: string;
  /** What must have happened before, untimed. */
  prepare: string;
  command: string;
  /** What is cleared away after, untimed. */
  conclude: string;
}

async function main(): Promise<void> {
  const rounds = Number(Deno.args[0] ?? DEFAULT_ROUNDS);
  await installPackages([...TEST_PACKAGES, HYPERFINE]);
  await run([Deno.execPath(), "task", "compile"], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 300,
    check: true,
  });

  await using scope = new Scope();
  const measurements = [
    ...await boots(scope),
    ...await oursOf(scope),
    ...await runcOf(scope),
  ];
  const medians = await measure(scope, measurements, rounds);
  report(measurements, medians, rounds);
}

/** The executable, and the same Deno linked with a script that does nothing. */
async function boots(scope: Scope): Promise<Measurement[]> {
  const directory = await scope.temporaryDirectory("bench");
  await Deno.writeTextFile(`${directory}/empty.ts`, "");
  await run([
    Deno.execPath(),
    "run",
    "-A",
    "lib/pack/compile.ts",
    "--entry",
    `${directory}/empty.ts`,
    "--output",
    `${directory}/empty`,
  ], { cwd: repositoryDirectory(), timeoutSeconds: 300, check: true });
  const boot = (subject: string, command: string): Measurement => ({
    operation: "boot",
    subject,
    prepare: "true",
    command,
    conclude: "true",
  });
  return [
    boot("urunc", `${await uruncBinary()} --version`),
    boot("urunc state", `${await uruncBinary()} state missing`),
    boot("empty", `${directory}/empty`),
    boot("runc", "runc --version"),
  ];
}

async function oursOf(scope: Scope): Promise<Measurement[]> {
  const { bundle, cleanup } = await makeBundle({
    args: ["idle"],
    accelerator: missingReason("kvm") === undefined ? "kvm" : "tcg",
  });
  scope.defer("remove the bundle", cleanup);
  const root = await scope.temporaryDirectory("bench-root");
  const config = await doubleConfiguration(scope);
  const runtime = `${await uruncBinary()} --root ${root} --config ${config}`;
  return lifecycle(scope, "urunc", runtime, bundle);
}

async function runcOf(scope: Scope): Promise<Measurement[]> {
  const root = await scope.temporaryDirectory("bench-runc");
  return lifecycle(scope, "runc", `runc --root ${root}`, await makeRuncBundle(scope));
}

function lifecycle(
  scope: Scope,
  subject: string,
  runtime: string,
  bundle: string,
): Measurement[] {
  const create = `${runtime} create --bundle ${bundle} ${ID}`;
  const start = `${runtime} start ${ID}`;
  const remove = `${runtime} delete --force ${ID}`;
  const stop = `${runtime} kill ${ID} KILL`;
  const state = `${runtime} state ${ID}`;
  const untilStopped = `until ${state} | grep -q stopped; do sleep 0.01; done`;
  scope.defer(`delete ${ID} of ${subject}`, () => run(remove.split(" ")));
  const quiet = (script: string) => `sh -c "(${script}) >/dev/null 2>&1 </dev/null"`;
  return [
    { operation: "create", prepare: "true", command: create, conclude: quiet(remove) },
    { operation: "start", prepare: quiet(create), command: start, conclude: quiet(remove) },
    {
      operation: "create→exec'd",
      prepare: "true",
      command: `sh -c "${create} && ${start}"`,
      conclude: quiet(remove),
    },
    {
      operation: "delete",
      prepare: quiet(`${create}; ${start}; ${stop}; ${untilStopped}`),
      command: `${runtime} delete ${ID}`,
      conclude: "true",
    },
  ].map((it) => ({ ...it, subject }));
}

/** Median seconds of each measurement. */
async function measure(
  scope: Scope,
  measurements: Measurement[],
  rounds: number,
): Promise<number[]> {
  const results = `${await scope.temporaryDirectory("bench-results")}/results.json`;
  // A state that is not there is an answer as well.
  const argv = ["hyperfine", "-N", "-i", "--style", "none", "--runs", "1"];
  argv.push("--export-json", results);
  for (let round = 0; round < rounds; round++) {
    for (const { prepare, command, conclude } of measurements) {
      argv.push("--prepare", prepare, "--conclude", conclude, command);
    }
  }
  await run(argv, { timeoutSeconds: 900, check: true });
  const { results: runs } = JSON.parse(await Deno.readTextFile(results)) as {
    results: { command: string; times: number[]; exit_codes: number[] }[];
  };
  return measurements.map(({ command }, index) => {
    const own = runs.filter((_, n) => n % measurements.length === index);
    const whole = own.filter((it) => it.exit_codes[0] === 0 || command.endsWith("state missing"));
    const failed = own.length - whole.length;
    if (failed > 0) console.log(`${command}: failed in ${failed} of ${own.length} rounds`);
    if (failed > own.length / 4) throw new Error(`benchmark ${command}: it fails`);
    return median(whole.map((it) => it.times[0]!));
  });
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function report(measurements: Measurement[], medians: number[], rounds: number): void {
  const of = (operation: string, subject: string) =>
    medians[
      measurements.findIndex((it) => it.operation === operation && it.subject === subject)
    ]! * 1000;
  console.log(`median of ${rounds} interleaved rounds; the monitor is the test double`);
  console.log("operation         urunc ms   runc ms   urunc / runc");
  for (const operation of ["boot", "create", "start", "create→exec'd", "delete"]) {
    const [ours, theirs] = [of(operation, "urunc"), of(operation, "runc")];
    console.log(
      operation.padEnd(16) + ours.toFixed(1).padStart(10) + theirs.toFixed(1).padStart(10) +
        (ours / theirs).toFixed(2).padStart(15),
    );
  }
  const empty = of("boot", "empty");
  console.log(
    `an empty linked script boots in ${empty.toFixed(1)} ms (at most 1.40 of it is wanted)`,
  );
  console.log(`  --version      ${(of("boot", "urunc") / empty).toFixed(2)}`);
  console.log(`  state missing  ${(of("boot", "urunc state") / empty).toFixed(2)}`);
}

await main();
