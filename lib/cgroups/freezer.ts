import { HostError } from "../errors.ts";
import { delay } from "../os/timer.ts";
import { leavesOf } from "./common.ts";
import { readIfThere } from "../os/files.ts";
import { isCode } from "../os/os_error.ts";

/** How long the kernel may take to stop everything. */
const FREEZE_MILLISECONDS = 10_000;

/**
 * v1: a process that was being forked at the wrong moment keeps the cgroup in FREEZING for ever;
 * thawing for a moment and trying again helps. So many looks at the state are given each attempt.
 */
const LOOKS_PER_ATTEMPT = 50;

/** How one cgroup version stops processes, and says that it has. */
interface Freezer {
  /** The file to write, and what freezes and thaws. */
  control: string;
  words: { frozen: string; thawed: string };
  /** Read, and what it says when all are stopped. */
  status: string;
  done: { frozen: RegExp; thawed: RegExp };
}

/**
 * Stops all processes of a container where they are: they get no processor time and do not notice.
 *
 * @param directories of the container
 * @throws HostError when the host cannot, or they do not stop in time; they are thawed then
 */
export async function freezeCgroup(directories: string[]): Promise<void> {
  const freezer = requireFreezer(directories);
  if (await freezeWithin(freezer, FREEZE_MILLISECONDS)) return;
  write(freezer, "thawed");
  throw new HostError({
    operation: "freeze cgroup",
    subject: freezer.control,
    reason: `its processes did not all stop within ${FREEZE_MILLISECONDS} ms`,
    remedy: "one may hang in the kernel: see their states in /proc",
  });
}

/** As `freezeCgroup`, where it works: they may be stopped or not, and are to be thawed. */
export async function tryFreeze(directories: string[], milliseconds: number): Promise<void> {
  const freezer = findFreezer(directories);
  if (freezer !== undefined) await freezeWithin(freezer, milliseconds);
}

async function freezeWithin(freezer: Freezer, milliseconds: number): Promise<boolean> {
  const deadline = performance.now() + milliseconds;
  for (let look = 1; performance.now() < deadline; look++) {
    write(freezer, "frozen");
    if (isIn(freezer, "frozen")) return true;
    if (look % LOOKS_PER_ATTEMPT === 0) write(freezer, "thawed");
    await delay(Math.min(look, 10));
  }
  return false;
}

/**
 * Thaws the processes of a container. Does nothing when they run, or when its cgroups are gone.
 *
 * @throws HostError when they stay frozen: a cgroup above is frozen
 */
export async function thawCgroup(directories: string[]): Promise<void> {
  const freezer = findFreezer(directories);
  if (freezer === undefined || isIn(freezer, "thawed")) return;
  write(freezer, "thawed");
  const deadline = performance.now() + FREEZE_MILLISECONDS;
  for (let wait = 1; !isIn(freezer, "thawed"); wait = Math.min(wait * 2, 10)) {
    if (performance.now() > deadline) {
      throw new HostError({
        operation: "thaw cgroup",
        subject: freezer.control,
        reason: "it stays frozen",
        remedy: "a cgroup above it may be frozen",
      });
    }
    await delay(wait);
  }
}

/** Whether a container's processes are stopped, or about to be. */
export function isFrozen(directories: string[]): boolean {
  const freezer = findFreezer(directories);
  return freezer !== undefined && !isIn(freezer, "thawed");
}

function requireFreezer(directories: string[]): Freezer {
  const freezer = findFreezer(directories);
  if (freezer !== undefined) return freezer;
  throw new HostError({
    operation: "freeze cgroup",
    subject: leavesOf(directories)[0],
    reason: "this kernel has no freezer for it",
    remedy: "mount the freezer hierarchy of cgroup v1, or cgroup2",
  });
}

/**
 * Where both versions are there, version 1: what else looks at a hybrid host looks there. A mount
 * point has the names of its controllers, so the first directory that is tried is mostly the one.
 */
function findFreezer(directories: string[]): Freezer | undefined {
  const leaves = leavesOf(directories);
  const likely = leaves.filter((leaf) => /[/,]freezer[/,]/.test(leaf));
  for (const leaf of [...likely, ...leaves]) {
    const v1 = `${leaf}/freezer.state`;
    if (readIfThere(v1, "ENODEV") !== undefined) return freezerV1(v1);
  }
  const v2 = leaves.find((leaf) => readIfThere(`${leaf}/cgroup.freeze`, "ENODEV") !== undefined);
  return v2 === undefined ? undefined : freezerV2(v2);
}

/** @see kernel Documentation/admin-guide/cgroup-v1/freezer-subsystem.rst */
function freezerV1(file: string): Freezer {
  return {
    control: file,
    words: { frozen: "FROZEN", thawed: "THAWED" },
    status: file,
    done: { frozen: /^FROZEN$/m, thawed: /^THAWED$/m },
  };
}

/** @see kernel Documentation/admin-guide/cgroup-v2.rst, "cgroup.freeze" */
function freezerV2(leaf: string): Freezer {
  return {
    control: `${leaf}/cgroup.freeze`,
    words: { frozen: "1", thawed: "0" },
    status: `${leaf}/cgroup.events`,
    done: { frozen: /^frozen 1$/m, thawed: /^frozen 0$/m },
  };
}

function isIn({ status, done }: Freezer, state: "frozen" | "thawed"): boolean {
  const text = readIfThere(status, "ENODEV");
  // A cgroup that is gone freezes nothing.
  return text === undefined ? state === "thawed" : done[state].test(text);
}

function write({ control, words }: Freezer, state: "frozen" | "thawed"): void {
  try {
    Deno.writeTextFileSync(control, words[state], { create: false });
  } catch (error) {
    if (isCode(error, "ENOENT", "ENODEV")) return;
    throw error;
  }
}
