/**
 * `deno task bench [ROUNDS [command|containerd]]`: what a caller waits for, ours and runc's, as ratios
 * of one run; the caller of the command line, of containerd, or both.
 */
import { doubleConfiguration } from "../support/double.ts";
import { makeBundle } from "../support/fixtures.ts";
import { installPackages, TEST_PACKAGES } from "../support/packages.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { missingReason } from "../support/skip.ts";
import { repositoryDirectory, uruncBinary } from "../support/urunc.ts";
import { benchContainerd } from "./containerd.ts";
import { measure, type Measurement, type Summary } from "./measure.ts";
import { makeRuncBundle } from "./runc_bundle.ts";

const DEFAULT_ROUNDS = 25;
const HYPERFINE = { package: "hyperfine", purpose: "measures" };
/** Not that of another run at the same time: cgroups are made by it. */
const ID = `bench-${Deno.pid}`;

async function main(): Promise<void> {
  const rounds = Number(Deno.args[0] ?? DEFAULT_ROUNDS);
  const part = Deno.args[1];
  await installPackages([...TEST_PACKAGES, HYPERFINE]);
  await run([Deno.execPath(), "task", "compile"], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 300,
    check: true,
  });

  await using scope = new Scope();
  if (part !== "containerd") await benchCommands(scope, rounds);
  if (part !== "command") await benchContainerd(scope, rounds);
}

async function benchCommands(scope: Scope, rounds: number): Promise<void> {
  const measurements = [
    ...await boots(scope),
    ...await oursOf(scope),
    ...await runcOf(scope),
  ];
  report(measurements, await measure(scope, measurements, rounds), rounds);
}

/** The executable, and the same Deno linked with a script that does nothing. */
async function boots(scope: Scope): Promise<Measurement[]> {
  const directory = await scope.temporaryDirectory("bench");
  await Deno.writeTextFile(`${directory}/empty.ts`, "");
  await run([
    Deno.execPath(),
    "run",
    "-A",
    "lib/build/compile.ts",
    "--entry",
    `${directory}/empty.ts`,
    "--output",
    `${directory}/empty`,
  ], { cwd: repositoryDirectory(), timeoutSeconds: 300, check: true });
  const boot = (subject: string, command: string, mayFail = false): Measurement => ({
    operation: "boot",
    subject,
    prepare: "true",
    command,
    conclude: "true",
    mayFail,
  });
  return [
    boot("urunc", `${await uruncBinary()} --version`),
    // That it is not there is an answer as well.
    boot("urunc state", `${await uruncBinary()} state missing`, true),
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

function report(measurements: Measurement[], summaries: Summary[], rounds: number): void {
  const of = (operation: string, subject: string) =>
    summaries[
      measurements.findIndex((it) => it.operation === operation && it.subject === subject)
    ]!.median;
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
