/**
 * `deno task test:fuzz [SECONDS] [SEED]`: gives every parser of what comes from outside hostile inputs, in
 * turn, for so many seconds (60 unless given); the unit tests do so with a fixed seed (fuzz_test.ts).
 * What fails is printed with its seed, and the smallest input that was found.
 */
import { casesOf, runTarget, TARGETS } from "./run.ts";

/** Of one turn. */
const CASES = 20_000;

if (import.meta.main) Deno.exit(await main(Deno.args));

/** @returns the exit code: 1 when something failed, 2 for arguments that are not numbers */
async function main([seconds = "60", seed = `${Date.now() % 2 ** 31}`]: string[]): Promise<number> {
  if (![seconds, seed].every((it) => /^\d{1,10}$/.test(it))) {
    console.error("deno task test:fuzz [SECONDS] [SEED]");
    return 2;
  }
  const end = performance.now() + 1000 * Number(seconds);
  let cases = 0;
  for (let turn = Number(seed); performance.now() < end; turn++) {
    for (const target of TARGETS) {
      const share = casesOf(target, CASES);
      const failure = await runTarget(target, { seed: turn, cases: share });
      cases += share;
      if (failure === undefined) continue;
      console.error(`${target.name}, seed ${turn}:\n${failure}`);
      return 1;
    }
    console.log(`seed ${turn}: ${cases} cases, nothing failed`);
  }
  return 0;
}
