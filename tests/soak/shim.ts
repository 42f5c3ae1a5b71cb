/**
 * `deno task test:soak shim [IN_A_ROW [AT_ONCE]]`: guests through containerd, so many one after the
 * other and so many at the same time, with a shim for each and with one for all, and containerd killed
 * in the middle; then what shims take of memory. It takes some minutes and is not part of
 * `deno task test`, which lives through fewer.
 */
import assert from "node:assert/strict";
import {
  assertNothingLeft,
  GUEST,
  ORDINARY,
  startWithDouble,
  waitForStatus,
} from "../e2e/containerd/_common.ts";
import type { Containerd } from "../support/containerd.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";

const IN_A_ROW = 500;
const AT_ONCE = 20;
/** By then all code has been loaded and compiled. */
const WARM_UP = 60;
/** How much the memory of a shim that serves all may grow. */
const GROWTH = 1.1;

/**
 * @param args how many in a row, and how many at once, where it is not as usual
 * @throws Error at the first thing that is not as it should be
 */
export async function soakShim(args: string[]): Promise<void> {
  const inARow = Number(args[0] ?? IN_A_ROW);
  const atOnce = Number(args[1] ?? AT_ONCE);
  for (const group of ["container", "namespace"]) {
    await using scope = new Scope();
    const it = await startWithDouble(scope, {}, `shim_group = "${group}"`);
    await rounds(it, WARM_UP, 1);
    const before = await takeFigures(it);
    const begin = performance.now();
    await rounds(it, Math.ceil(inARow / 2), 1);
    await killContainerd(it);
    await rounds(it, Math.floor(inARow / 2), 1);
    await rounds(it, 5, atOnce);
    const seconds = ((performance.now() - begin) / 1000).toFixed(0);
    console.log(
      `${inARow} in a row, 5 times ${atOnce} at once, a shim per ${group}: ${seconds} s, none failed`,
    );
    if (group === "container") {
      await assertNothingLeft(it);
      continue;
    }
    const after = await takeFigures(it);
    const growth = 100 * (after.memory / before.memory - 1);
    console.log(
      `its memory was ${before.memory} KiB, is ${after.memory} KiB: ${growth.toFixed(1)} % more`,
    );
    assert.ok(after.memory <= before.memory * GROWTH, `it has grown by more than ${GROWTH}`);
    assert.deepEqual({ ...after, memory: 0 }, { ...before, memory: 0 });
    const bundles = await it.onHost(["ls", it.bundle("")]);
    assert.equal(bundles.stdout, "", "bundles are left");
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

/** Kills containerd and starts it again, with a guest that goes on and one that ends meanwhile. */
async function killContainerd(it: Containerd): Promise<void> {
  const detached = ["--detach", "--null-io"];
  await it.ctrRun(detached, GUEST, "stays", ["idle"]);
  await it.ctrRun(detached, GUEST, "ends", ["sleep 1500; exit 11"]);
  const pid = await waitForStatus(it, "stays", "RUNNING");
  await it.kill();
  await new Promise((resolve) => setTimeout(resolve, 2000));
  await it.start();
  assert.equal(await waitForStatus(it, "stays", "RUNNING"), pid);
  await waitForStatus(it, "ends", "STOPPED");
  assert.match((await it.ctr(["task", "delete", "ends"])).stderr, /non-zero exit code 5\b/);
  await it.ctr(["task", "kill", "--signal", "SIGKILL", "stays"], { check: true });
  await waitForStatus(it, "stays", "STOPPED");
  assert.match((await it.ctr(["task", "delete", "stays"])).stderr, /non-zero exit code 137\b/);
  for (const id of ["ends", "stays"]) await it.ctr(["containers", "delete", id], { check: true });
}

/** What shims hold. */
interface Figures {
  /** KiB. */
  memory: number;
  processes: number;
  descriptors: number;
}

async function takeFigures(it: Containerd): Promise<Figures> {
  const memory = await settledMemory(it);
  const shims = it.shims();
  const descriptors = shims.reduce(
    (sum, pid) => sum + [...Deno.readDirSync(`/proc/${pid}/fd`)].length,
    0,
  );
  return { memory, processes: shims.length, descriptors };
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
