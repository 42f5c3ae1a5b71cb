/** What a caller of the command line waits for: the commands of a container's life, ours and others'. */
import { run } from "../support/process.ts";
import type { Scope } from "../support/scope.ts";
import { repositoryDirectory, uruncBinary } from "../support/urunc.ts";
import { measure, type Measurement, rowOf } from "./measure.ts";
import { crunWrapper, type Runtime, runtimes } from "./runtimes.ts";
import type { Row, Table } from "./table.ts";

/** Not that of another run at the same time: cgroups are made by it. */
const ID = `bench-${Deno.pid}`;

/** Rows, and the ratio to runc that is wanted. */
const OPERATIONS = { create: 1.3, start: undefined, "create→exec'd": 1.3, delete: 4 };
const PROCESSOR = "create, start, delete: CPU";
const PROCESSOR_WANTED = 1.5;
const STATE_WANTED = 1.15;

/**
 * Runs a whole life and waits for every process of it, so that the time that processors spent on all of
 * them is that of one command. 157, PR_SET_CHILD_SUBREAPER: prctl(2), on x86-64.
 */
const LIFE = `#!/usr/bin/perl
# create COMMAND... -- start COMMAND... -- delete COMMAND...
my @lives = ([]);
for (@ARGV) { $_ eq "--" ? push @lives, [] : push @{$lives[-1]}, $_; }
syscall(157, 36, 1, 0, 0, 0) == 0 or die "prctl: $!";
for my $index (0 .. $#lives) {
  system(@{$lives[$index]}) == 0 or die "it fails: @{$lives[$index]}";
  # The container's own process.
  if ($index == 1) { 1 while wait() > 0; }
}
`;

/** Measures boots, and each command of a life. */
export async function benchCommands(scope: Scope, rounds: number): Promise<Table> {
  const compared = await runtimes(scope);
  const life = `${await scope.temporaryDirectory("bench-life")}/life`;
  await Deno.writeTextFile(life, LIFE);
  const measurements = [
    ...await boots(scope),
    ...compared.flatMap((it) => lifecycle(scope, it)),
    ...compared.map((it) => processorTime(life, it)),
    // What the measuring takes of that.
    processorOnly("perl", `perl ${life} true`),
  ];
  const summaries = await measure(scope, measurements, rounds, crunWrapper());
  const row = (it: Omit<Row, "values" | "unit">) =>
    rowOf({ unit: "ms", ...it }, measurements, summaries);
  const wanted = (atMost: number | undefined) =>
    atMost === undefined ? [] : [{ subject: "urunc", base: "runc", atMost }];
  return {
    missing: compared.some((it) => it.subject === "crun")
      ? []
      : [{ name: "crun", reason: "it is not installed" }],
    rows: [
      row({
        name: "boot",
        bases: ["an empty script", "runc"],
        wanted: [{
          subject: "state of a missing id",
          base: "an empty script",
          atMost: STATE_WANTED,
        }],
      }),
      ...Object.entries(OPERATIONS).map(([name, atMost]) =>
        row({ name, bases: ["runc", "crun"], wanted: wanted(atMost) })
      ),
      withoutPerl(
        row({ name: PROCESSOR, bases: ["runc", "crun"], wanted: wanted(PROCESSOR_WANTED) }),
      ),
    ],
  };
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
    boot("--version", `${await uruncBinary()} --version`),
    // That it is not there is an answer as well.
    boot("state of a missing id", `${await uruncBinary()} state missing`, true),
    boot("an empty script", `${directory}/empty`),
    boot("runc", "runc --version"),
  ];
}

function lifecycle(scope: Scope, { subject, command, bundle }: Runtime): Measurement[] {
  const runtime = command.join(" ");
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

function processorTime(life: string, { subject, command, trueBundle }: Runtime): Measurement {
  const runtime = command.join(" ");
  return processorOnly(
    subject,
    `perl ${life} ${runtime} create --bundle ${trueBundle} ${ID}` +
      ` -- ${runtime} start ${ID} -- ${runtime} delete ${ID}`,
  );
}

function processorOnly(subject: string, command: string): Measurement {
  return {
    operation: PROCESSOR,
    subject,
    prepare: "true",
    command,
    conclude: "true",
    of: "processor",
  };
}

/** The row less what the program that waits takes itself. */
function withoutPerl(row: Row): Row {
  const perl = row.values.find((it) => it.subject === "perl")!.median;
  const values = row.values.filter((it) => it.subject !== "perl").map((it) => ({
    ...it,
    minimum: it.minimum - perl,
    median: it.median - perl,
    mean: it.mean - perl,
    p95: it.p95 - perl,
  }));
  return { ...row, values };
}
