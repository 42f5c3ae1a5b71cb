/**
 * `deno task test:soak [ROUNDS]`: a thousand containers, eight at a time, and what the machine holds
 * before and after. It takes some minutes and is not part of `deno task test`, which lives through
 * fewer (tests/integration/soak_test.ts). `deno task test:soak shim`: tests/soak/shim.ts.
 * `deno task test:soak kill`: tests/soak/kills.ts.
 * `deno task test:soak transfer [MEGABYTES]`: tests/soak/transfer.ts.
 */
import { installPackages, TEST_PACKAGES } from "../support/packages.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { repositoryDirectory } from "../support/urunc.ts";
import { type Census, compareCensuses } from "./census.ts";
import { soakKills } from "./kills.ts";
import { soak } from "./rounds.ts";
import { soakShim } from "./shim.ts";
import { soakTransfer } from "./transfer.ts";

const DEFAULT_ROUNDS = 1000;
const DEFAULT_MEGABYTES = 200;
const LANES = 8;
const WARM_UP = 80;

/**
 * How much more there may be of what cannot be distinguished from what others do at the same time. A
 * thousand namespaces, clean rooms or cgroups that are kept would be more. KiB.
 */
const MARGINS: Partial<Record<keyof Census, number>> = {
  kernelMemory: 48 * 1024,
  sharedMemory: 8 * 1024,
  callerMemory: 64 * 1024,
};

async function main(): Promise<number> {
  const isShim = Deno.args[0] === "shim";
  const rounds = Number(Deno.args[0] ?? DEFAULT_ROUNDS);
  await installPackages(TEST_PACKAGES);
  if (!Deno.env.get("URUNC_BINARY")) {
    await run([Deno.execPath(), "task", "compile"], {
      cwd: repositoryDirectory(),
      timeoutSeconds: 300,
      check: true,
    });
  }
  if (isShim) {
    await soakShim(Deno.args.slice(1));
    return 0;
  }
  if (Deno.args[0] === "kill") {
    await killAtRandom(Number(Deno.args[1] ?? DEFAULT_ROUNDS), Number(Deno.args[2] ?? Date.now()));
    return 0;
  }
  if (Deno.args[0] === "transfer") {
    await using scope = new Scope();
    const speed = await soakTransfer(scope, Number(Deno.args[1] ?? DEFAULT_MEGABYTES));
    console.log(`${speed.toFixed(1)} MB/s each way, and every byte as it was`);
    return 0;
  }
  await using scope = new Scope();
  const { seconds, lists, listed, before, after } = await soak(scope, {
    rounds,
    lanes: LANES,
    warmUp: WARM_UP,
  });
  const states = [...listed].map(([status, count]) => `${count} ${status}`).join(", ");
  console.log(`${rounds} containers, ${LANES} at a time, in ${seconds.toFixed(0)} s`);
  console.log(`list was right ${lists} times: ${states}`);
  console.log(compareCensuses(before, after));
  const grown = (Object.keys(MARGINS) as (keyof Census)[])
    .filter((it) => after[it] - before[it] > MARGINS[it]!);
  for (const it of grown) console.error(`${it} has grown by more than ${MARGINS[it]} KiB`);
  return grown.length === 0 ? 0 : 1;
}

async function killAtRandom(rounds: number, seed: number): Promise<void> {
  await using scope = new Scope();
  console.log(`${rounds} rounds with seed ${seed}`);
  const began = performance.now();
  for (const [victim, count] of await soakKills(scope, { rounds, seed })) {
    console.log(`${victim}: ${count.hits} killed in ${count.rounds} rounds`);
  }
  const seconds = ((performance.now() - began) / 1000).toFixed(0);
  console.log(`nothing was left after any of ${rounds} rounds, in ${seconds} s`);
}

Deno.exit(await main());
