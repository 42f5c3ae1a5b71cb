/**
 * `deno task test:mutation [NAME…]`: takes each step of a launch plan, and each key of the operator's
 * policy, out in turn, and runs the test that must fail then (steps.ts, policies.ts); and before it the
 * same test with nothing taken out, which must pass. Needs what the integration tests need.
 */
import { DENO_TEST } from "../support/deno_test.ts";
import { parseJunit } from "../support/junit.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { repositoryDirectory } from "../support/urunc.ts";
import { withoutBinary } from "../support/without.ts";
import {
  FILTER_GUARDS,
  FORK_GUARDS,
  NETWORK_GUARDS,
  POLICY_GUARDS,
  PROOF_GUARDS,
} from "./policies.ts";
import { FILE_SERVER_GUARDS, STEP_GUARDS } from "./steps.ts";
import type { Guard, Patch } from "./types.ts";

/** Of one run of a test, in seconds. */
const LONGEST = 300;

/** What came of leaving something out. */
type Outcome = "noticed" | "NOT NOTICED" | "FAILS ANYWAY" | "CANNOT RUN" | "only in a node";

/** Of tests that were run with nothing left out. */
const baselines = new Map<string, Outcome | undefined>();

if (import.meta.main) Deno.exit(await main(Deno.args));

/** @returns the exit code: 1 unless all was noticed */
async function main(names: string[]): Promise<number> {
  await using scope = new Scope();
  const wanted = ([name]: [string, unknown]) => names.length === 0 || names.includes(name);
  const steps = Object.entries({ ...STEP_GUARDS, ...FILE_SERVER_GUARDS }).filter(wanted);
  const policies = Object.entries({
    ...POLICY_GUARDS,
    ...FILTER_GUARDS,
    ...NETWORK_GUARDS,
    ...PROOF_GUARDS,
    ...FORK_GUARDS,
  }).filter(
    wanted,
  );
  const began = performance.now();
  const outcomes: Outcome[] = [];
  const note = (name: string, { test, filter }: Guard, outcome: Outcome, since: number) => {
    outcomes.push(outcome);
    const took = ((performance.now() - since) / 1000).toFixed(1).padStart(6);
    const where = filter === undefined ? test : `${test}: ${filter}`;
    console.log(`${outcome.padEnd(14)} ${took} s  ${name.padEnd(26)} ${where}`);
  };
  const copy = policies.length === 0 ? "" : await copyRepository(scope);
  for (const [name, guard] of policies) {
    const since = performance.now();
    note(name, guard, await withoutPolicy(copy, guard), since);
  }
  const binary = steps.length === 0 ? "" : await withoutBinary(scope);
  for (const [name, guard] of steps) {
    const since = performance.now();
    note(name, guard, await withoutStep(binary, name, guard), since);
  }
  const bad = outcomes.filter((it) => it !== "noticed" && it !== "only in a node").length;
  const minutes = ((performance.now() - began) / 60_000).toFixed(1);
  console.log(`${outcomes.length} left out, ${bad} not noticed or not tested; ${minutes} minutes`);
  return bad === 0 ? 0 : 1;
}

async function withoutStep(binary: string, step: string, guard: Guard): Promise<Outcome> {
  if (guard.inNode) return "only in a node";
  const env = { URUNC_BINARY: binary };
  const without = () => result(repositoryDirectory(), guard, { ...env, URUNC_WITHOUT: step });
  return await compared(guard, () => result(repositoryDirectory(), guard, env), without);
}

/** In a copy of the repository, which is whole again afterwards. */
async function withoutPolicy(copy: string, patch: Patch): Promise<Outcome> {
  const file = `${copy}${patch.file}`;
  const whole = await Deno.readTextFile(file);
  const parts = whole.split(patch.replace);
  if (parts.length !== 2) throw new Error(`${patch.file} does not have once: ${patch.replace}`);
  const test = async () => {
    if (patch.test.startsWith("tests/integration/")) await build(copy);
    return await result(copy, patch);
  };
  const outcome = await compared(patch, test, async () => {
    await Deno.writeTextFile(file, parts.join(patch.by));
    return await test();
  });
  await Deno.writeTextFile(file, whole);
  return outcome;
}

/** What git knows of the repository, as it is in its directory. */
async function copyRepository(scope: Scope): Promise<string> {
  const copy = `${await scope.temporaryDirectory("mutation")}/`;
  const cwd = repositoryDirectory();
  const { stdout } = await run(["git", "ls-files", "-z"], { cwd, check: true });
  const archive = `${copy}copy.tar`;
  const options = ["--null", "--files-from=-", "-cf", archive];
  await run(["tar", ...options], { cwd, stdin: stdout, check: true });
  await run(["tar", "-xf", archive, "-C", copy], { check: true });
  await Deno.remove(archive);
  return copy;
}

async function build(root: string): Promise<void> {
  await run([Deno.execPath(), "run", "-A", "--frozen", "lib/build/compile.ts"], {
    cwd: root,
    timeoutSeconds: LONGEST,
    check: true,
  });
}

async function compared(
  guard: Guard,
  whole: () => Promise<Result>,
  without: () => Promise<Result>,
): Promise<Outcome> {
  const key = JSON.stringify([guard.test, guard.filter]);
  if (!baselines.has(key)) baselines.set(key, unusable(await whole()));
  return baselines.get(key) ?? (await without() === "passed" ? "NOT NOTICED" : "noticed");
}

function unusable(result: Result): Outcome | undefined {
  return result === "passed" ? undefined : result === "failed" ? "FAILS ANYWAY" : "CANNOT RUN";
}

/** `nothing`: all was skipped, or the filter fits no test. */
type Result = "passed" | "failed" | "nothing";

async function result(
  root: string,
  { test, filter }: Guard,
  env: Record<string, string> = {},
): Promise<Result> {
  await using scope = new Scope();
  const report = `${await scope.temporaryDirectory("junit")}/report.xml`;
  const filters = filter === undefined ? [] : ["--filter", filter];
  const args = [...DENO_TEST, "--frozen", `--junit-path=${report}`, ...filters, test];
  const { code } = await run([Deno.execPath(), ...args], {
    cwd: root,
    env,
    timeoutSeconds: LONGEST,
  }).catch((error) => ({ code: `${error}` }));
  if (code !== 0) return "failed";
  const outcomes = parseJunit(await Deno.readTextFile(report));
  return outcomes.some((it) => it.outcome === "passed") ? "passed" : "nothing";
}
