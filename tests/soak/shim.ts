/**
 * `deno run -A tests/soak/shim.ts [IN_A_ROW [AT_ONCE]]`: guests through containerd, so many one after
 * the other and so many at the same time, with a shim for each and with one for all; then what shims
 * take of memory. It takes some minutes and is not part of `deno task test`, which lives through fewer.
 */
import { assertNothingLeft, GUEST, ORDINARY, startWithDouble } from "../e2e/containerd/_common.ts";
import type { Containerd } from "../support/containerd.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";

const IN_A_ROW = 500;
const AT_ONCE = 20;
/** By then all code has been loaded and compiled. */
const WARM_UP = 60;
/** How much the memory of a shim that serves all may grow. */
const GROWTH = 1.1;

async function main(): Promise<void> {
  const inARow = Number(Deno.args[0] ?? IN_A_ROW);
  const atOnce = Number(Deno.args[1] ?? AT_ONCE);
  for (const group of ["container", "namespace"]) {
    await using scope = new Scope();
    const it = await startWithDouble(scope, {}, `shim_group = "${group}"`);
    await rounds(it, WARM_UP, 1);
    const before = group === "namespace" ? await settledMemory(it) : 0;
    const begin = performance.now();
    await rounds(it, inARow, 1);
    await rounds(it, 5, atOnce);
    const seconds = (performance.now() - begin) / 1000;
    console.log(`${inARow} in a row, 5 times ${atOnce} at once, a shim per ${group}: ${seconds} s`);
    if (group === "container") {
      await assertNothingLeft(it);
      continue;
    }
    const after = await settledMemory(it);
    console.log(`its memory was ${before} KiB, is ${after} KiB`);
    if (after > before * GROWTH) throw new Error(`it has grown by more than ${GROWTH}`);
  }
  for (const count of [1, 10, 50]) {
    await memoryOf(count, "a shim per container", "", GUEST, ["idle"]);
    await memoryOf(count, "one for all", 'shim_group = "namespace"', GUEST, ["idle"]);
    await memoryOf(count, "containerd-shim-runc-v2", "", ORDINARY, ["/bin/sleep", "1000"], [
      "--runtime=io.containerd.runc.v2",
    ]);
  }
}

async function rounds(it: Containerd, count: number, width: number): Promise<void> {
  for (let round = 0; round < count; round++) {
    const results = await Promise.all(
      Array.from(
        { length: width },
        (_, index) => it.ctrRun(["--rm"], GUEST, `r${round}-${index}`, [`print ${round}; exit 3`]),
      ),
    );
    for (const { code, stdout, stderr } of results) {
      if (code !== 1 || stdout !== `${round}\n`) {
        throw new Error(`round ${round}: code ${code}, ${JSON.stringify(stdout)}, ${stderr}`);
      }
    }
  }
}

async function memoryOf(
  count: number,
  name: string,
  configuration: string,
  image: string,
  args: string[],
  flags: string[] = [],
): Promise<void> {
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, configuration);
  for (let index = 0; index < count; index++) {
    const command = it.ctrRunCommand(["--detach", "--null-io", ...flags], image, `g${index}`, args);
    await run(command, { check: true });
  }
  const memory = await settledMemory(it);
  console.log(`${count} idle, ${name}: PSS ${memory} KiB in ${it.shims().length} processes`);
}

/** Once what was done last is over, and its garbage was given back. */
async function settledMemory(it: Containerd): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return shimMemory(it);
}

/** Proportional set size of all shims together, an init that waits included. KiB. */
function shimMemory(it: Containerd): number {
  return it.shims().reduce((sum, pid) => {
    const text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
    return sum + Number(/^Pss:\s+(\d+)/m.exec(text)![1]);
  }, 0);
}

await main();
