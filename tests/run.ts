/**
 * `deno task test [GROUP|PATH|NAME…] [--filter TEXT] [--coverage]`: installs what is missing, builds the
 * executable, runs every group of tests in a process of its own, and looks at what they left on the
 * machine. The last line is the sum; before it stands what passed only in another node than the first.
 *
 * A group that takes longer than its share (tests/support/groups.ts) is asked to clean up, and counts as
 * failed. The nodes' group runs beside the others, on a processor of its own: its output is held back
 * until it is over. What is below tests/vm/node is run by the vm group's tests, in a node.
 */
import { whenOver } from "./support/busy.ts";
import { describeCoverage } from "./support/coverage.ts";
import { DENO_TEST, lockFlags, parseTestArguments } from "./support/deno_test.ts";
import {
  describeBudget,
  type Group,
  GROUP_ALLOWANCE,
  GROUPS,
  type Lane,
  lanesOf,
  minutesFor,
} from "./support/groups.ts";
import { parseJunit, type TestOutcome } from "./support/junit.ts";
import { findLeaks, type Snapshot, takeSnapshot } from "./support/leaks.ts";
import { RUN_MARK, RUN_VARIABLE } from "./support/mark.ts";
import { claimDirectory } from "./support/only_run.ts";
import {
  isNamespaceDirectoryMounted,
  removeNamespaceDirectory,
} from "./support/named_namespaces.ts";
import { installPackages, packagesFor } from "./support/packages.ts";
import { CLEAN_UP_SECONDS, hearTerminationElsewhere, Scope } from "./support/scope.ts";
import { listTestFiles, selectTests, type TestFiles } from "./support/targets.ts";
import { repositoryDirectory } from "./support/urunc.ts";

/** What tells a run to end. */
const SIGNALS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** One interrupt comes several times: from the terminal, and from `deno task`, which passes it on. */
const SAME_INTERRUPT_MILLISECONDS = 2000;

/**
 * Becomes its arguments but the first, which is the file that gets their output, or empty. Should the
 * runner be killed, one who stays in their session sees its end of the pipe closed, and ends them in its
 * place.
 */
const GUARDED = `output=$1
shift
exec 3<&0 </dev/null
({
  read -r _ <&3 && exit
  kill -TERM $$
  for _ in $(seq ${CLEAN_UP_SECONDS}); do
    kill -0 $$ || break
    sleep 1
  done
  kill -KILL -$$
} >/dev/null 2>&1 &)
[ -z "$output" ] || exec >"$output" 2>&1
exec "$@" 3<&-`;

const root = repositoryDirectory();
let interrupted: { number: number; at: number } | undefined;
const running = new Set<RunningGroup>();

if (import.meta.main) Deno.exit(await main(Deno.args));

/**
 * Runs what the arguments mean: see above. A signal that tells it to end lets the tests clean up; leaks
 * are looked for and the sum is printed all the same. Another one, two seconds later, kills the tests.
 *
 * @returns the exit code: 0 when nothing failed; 128 and its number after a signal
 */
export async function main(args: string[]): Promise<number> {
  const started = performance.now();
  let chosen: Chosen;
  try {
    chosen = choose(args);
    if (chosen.names.some((it) => it !== "unit")) await claimDirectory(root);
  } catch (error) {
    return refuse(error instanceof Error ? error.message : `${error}`);
  }
  for (const line of describeBudget(chosen.names)) say(line);
  hearTerminationElsewhere();
  for (const [signal, number] of Object.entries(SIGNALS)) {
    Deno.addSignalListener(signal as keyof typeof SIGNALS, () => interrupt(number));
  }

  const outcomes: TestOutcome[] = [];
  await attempt(outcomes, "install packages", async () => {
    const missing = await installPackages(packagesFor(chosen.names), say);
    if (missing.length > 0) say(`missing: ${missing.map((it) => it.package).join(" ")}`);
  });
  if (chosen.names.some((it) => it !== "unit") && !Deno.env.get("URUNC_BINARY")) {
    await attempt(outcomes, "build dist/urunc", build);
  }

  const before = takeSnapshot();
  const hadNamespaces = isNamespaceDirectoryMounted();
  for (const ended of await Promise.all(lanesOf(chosen.names).map((it) => runLane(it, chosen)))) {
    outcomes.push(...ended);
  }
  if (!hadNamespaces) {
    await removeNamespaceDirectory().catch((error) => say(error.message, console.error));
  }
  for (const leak of await settledLeaks(before)) {
    outcomes.push({ name: leak, file: "after all tests", outcome: "failed" });
  }
  return report(outcomes, chosen, started);
}

/** What the arguments mean. */
interface Chosen {
  files: TestFiles;
  /** Of the groups that have some of the files. */
  names: string[];
  filter?: string;
  /** What the unit tests execute is measured: the table, once it is there. */
  coverage?: string[];
}

/** @throws Error when they mean nothing, or more than one thing */
function choose(args: string[]): Chosen {
  const { targets, filter, flags } = parseTestArguments(args, ["--coverage"]);
  const all = listTestFiles(root, GROUPS.map((it) => it.name), ["tests/vm/node"]);
  const files = selectTests(all, targets);
  const coverage = flags.includes("--coverage") ? [] : undefined;
  return { files, names: [...files.keys()], filter, coverage };
}

function refuse(reason: string): number {
  say(reason, console.error);
  say("0 passed, 1 failed, 0 skipped");
  return 1;
}

function report(outcomes: TestOutcome[], { coverage = [] }: Chosen, started: number): number {
  say(`\n== all: ${seconds(started)} s`);
  for (const line of coverage) say(line);
  const skipped = outcomes.filter((it) => it.outcome === "skipped");
  const failed = outcomes.filter((it) => it.outcome === "failed");
  for (const it of skipped) say(`skipped: ${it.name}: ${it.reason}`);
  for (const it of failed) say(`failed: ${it.name} (${it.file})`);
  if (interrupted) say("interrupted: what had not run is not counted");
  const another = outcomes.filter((it) => it.anotherNode && it.outcome === "passed");
  if (another.length > 0) {
    const names = another.map((it) => it.name).join("; ");
    say(`passed only in another node: ${another.length} (${names})`);
  }
  const passed = outcomes.length - skipped.length - failed.length;
  say(`${passed} passed, ${failed.length} failed, ${skipped.length} skipped`);
  if (interrupted) return 128 + interrupted.number;
  return failed.length > 0 ? 1 : 0;
}

/** Runs groups one after another. */
async function runLane(lane: Lane, chosen: Chosen): Promise<TestOutcome[]> {
  const outcomes: TestOutcome[] = [];
  let before: { allowed: number; took: number } | undefined;
  for (const group of lane.groups) {
    if (interrupted) break;
    const files = chosen.files.get(group.name)!;
    const started = performance.now();
    const allowed = minutesFor(group, before);
    const minutes = Math.round(allowed);
    const held = lane.held ? "; its output comes when it is over" : "";
    say(`\n== ${group.name}: ${files.length} files, at most ${minutes} minutes${held}`);
    outcomes.push(...await runGroup({ ...group, minutes }, files, chosen, lane));
    before = { allowed, took: (performance.now() - started) / 60_000 };
    say(`== ${group.name}: ${seconds(started)} s`);
  }
  return outcomes;
}

/** Runs a step of the preparation; its failure counts as a failed test, and the run goes on. */
async function attempt(outcomes: TestOutcome[], name: string, fn: () => Promise<void>) {
  if (interrupted) return;
  try {
    await fn();
  } catch (error) {
    say(`${name}: ${error instanceof Error ? error.message : error}`, console.error);
    outcomes.push({ name, file: "preparation", outcome: "failed" });
  }
}

async function build(): Promise<void> {
  say("building dist/urunc");
  const status = await start(["run", "-A", ...lockFlags(root), "lib/build/compile.ts"], 5 * 60);
  if (!status.success) throw new Error(`exit code ${status.code}`);
}

async function runGroup(
  group: Group,
  files: string[],
  chosen: Chosen,
  lane: Lane,
): Promise<TestOutcome[]> {
  await using scope = new Scope();
  const output = lane.held ? `${await scope.temporaryDirectory("output")}/text` : "";
  const junit = `${await scope.temporaryDirectory("junit")}/report.xml`;
  const { filter } = chosen;
  const flags = [...DENO_TEST, ...lockFlags(root), `--junit-path=${junit}`];
  if (filter !== undefined) flags.push("--filter", filter);
  const profiles = group.name === "unit" && chosen.coverage !== undefined
    ? await scope.temporaryDirectory("coverage")
    : undefined;
  if (profiles !== undefined) flags.push(`--coverage=${profiles}`, "--coverage-raw-data-only");
  const how = { mark: `${RUN_MARK}${lane.letter}`, output };
  const { code, late } = await start([...flags, ...files], group.minutes * 60, how);
  if (output !== "") await printFile(output);
  if (profiles !== undefined) {
    chosen.coverage = await describeCoverage(root, profiles)
      .catch((error) => [`coverage: ${error.message}`]);
  }
  const failure = (name: string): TestOutcome => ({ name, file: group.name, outcome: "failed" });

  let outcomes: TestOutcome[];
  try {
    outcomes = parseJunit(await Deno.readTextFile(junit));
    // The report lists what the filter left out as skipped.
    if (filter !== undefined) outcomes = outcomes.filter((it) => it.outcome !== "skipped");
  } catch (error) {
    if (interrupted) return [];
    if (late) return [failure(`not done within ${group.minutes} minutes`)];
    const reason = error instanceof Deno.errors.NotFound ? "no report" : String(error);
    return [failure(`the test process ended with code ${code}: ${reason}`)];
  }
  // A file that does not load, or an error between tests, is in no test's result.
  if (code !== 0 && !interrupted && !outcomes.some((it) => it.outcome === "failed")) {
    outcomes.push(failure(`the test process ended with code ${code}, though no test failed`));
  }
  return outcomes;
}

type RunningGroup = ReturnType<typeof spawn>;

interface Surroundings {
  /** The run's; the tests of a lane look for what begins with theirs, and do not see the others'. */
  mark?: string;
  /** The file that gets the output, or empty: it goes where the runner's goes. */
  output?: string;
}

/** Runs Deno with the terminal's output, and ends it when it takes too long: more on a busy machine. */
async function start(args: string[], timeoutSeconds: number, how: Surroundings = {}) {
  const child = spawn(args, how);
  running.add(child);
  // It came before there was anything to end.
  if (interrupted) end(child);
  let late = false;
  const deadline = whenOver(timeoutSeconds, () => {
    late = true;
    end(child);
  }, GROUP_ALLOWANCE);
  try {
    return { ...await child.status, late };
  } finally {
    deadline.cancel();
    running.delete(child);
    await dismiss(child);
  }
}

/**
 * In a session of its own: an interrupt at the terminal reaches the runner only, which then lets the
 * tests clean up.
 */
function spawn(args: string[], { mark = RUN_MARK, output = "" }: Surroundings) {
  return new Deno.Command("sh", {
    args: ["-c", GUARDED, "sh", output, Deno.execPath(), ...args],
    cwd: root,
    stdin: "piped",
    stdout: "inherit",
    stderr: "inherit",
    detached: true,
    env: {
      ...(Deno.stdout.isTerminal() && output === "" ? {} : { NO_COLOR: "1" }),
      [RUN_VARIABLE]: mark,
    },
  }).spawn();
}

/** Sends the one home who waits for the end of the runner. */
async function dismiss(child: RunningGroup): Promise<void> {
  const writer = child.stdin.getWriter();
  // Both fail when the whole session was killed.
  await writer.write(new TextEncoder().encode("end\n")).catch(() => {});
  await writer.close().catch(() => {});
}

/** Asks a group to clean up (see Scope), and ends all of its session when it does not. */
function end(child: RunningGroup): void {
  child.kill("SIGTERM");
  const timer = setTimeout(() => Deno.kill(-child.pid, "SIGKILL"), CLEAN_UP_SECONDS * 1000);
  child.status.finally(() => clearTimeout(timer));
}

function interrupt(number: number): void {
  if (interrupted === undefined) {
    interrupted = { number, at: performance.now() };
    for (const child of running) end(child);
    say("interrupted: cleaning up", console.error);
  } else if (performance.now() - interrupted.at > SAME_INTERRUPT_MILLISECONDS) {
    for (const child of running) Deno.kill(-child.pid, "SIGKILL");
  }
}

/** A terminal that hung up takes no more words; what is to be done is done all the same. */
function say(line: string, print: (line: string) => void = console.log): void {
  try {
    print(line);
  } catch { /* nobody listens */ }
}

async function printFile(path: string): Promise<void> {
  try {
    const file = await Deno.open(path);
    await file.readable.pipeTo(Deno.stdout.writable, { preventClose: true });
  } catch (error) {
    say(`${path}: ${error instanceof Error ? error.message : error}`, console.error);
  }
}

/** Leaks, once what is about to end has ended. */
async function settledLeaks(before: Snapshot): Promise<string[]> {
  const end = performance.now() + 5000;
  while (true) {
    const leaks = findLeaks(before, takeSnapshot());
    if (leaks.length === 0 || performance.now() > end) return leaks;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1);
}
