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
import { pssOf } from "../support/pss.ts";
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
    for (const kind of Object.keys(SHIMS) as ShimKind[]) await memoryOf(count, kind);
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

async function memoryOf(count: number, kind: ShimKind): Promise<void> {
  const { memory, processes } = await idleShims(count, kind);
  console.log(`${count} idle, ${kind}: PSS ${memory} KiB in ${processes} processes`);
}

/** Whose shims, and how many containers share one. */
export type ShimKind = keyof typeof SHIMS;

const SHIMS = {
  "a shim per container": { configuration: "", image: GUEST, args: ["idle"], flags: [] },
  "one for all": {
    configuration: 'shim_group = "namespace"',
    image: GUEST,
    args: ["idle"],
    flags: [],
  },
  "containerd-shim-runc-v2": {
    configuration: "",
    image: ORDINARY,
    args: ["/bin/sleep", "1000"],
    flags: ["--runtime=io.containerd.runc.v2"],
  },
};

/**
 * Starts containers that wait.
 *
 * @returns the proportional set size of all their shims together, an init that waits included, in KiB; and
 *   how many processes these are
 */
export async function idleShims(
  count: number,
  kind: ShimKind,
): Promise<{ memory: number; processes: number }> {
  const { configuration, image, args, flags } = SHIMS[kind];
  await using scope = new Scope();
  const it = await startWithDouble(scope, {}, configuration);
  for (let index = 0; index < count; index++) {
    const command = it.ctrRunCommand(["--detach", "--null-io", ...flags], image, `g${index}`, args);
    await run(command, { check: true });
  }
  return { memory: await settledMemory(it), processes: it.shims().length };
}

/** Once what was done last is over, and its garbage was given back. */
async function settledMemory(it: Containerd): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3000));
  return pssOf(it.shims());
}
