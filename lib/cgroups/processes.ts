import { close, pidfdOpen, pidfdSendSignal, pollAsync, POLLIN, SIGKILL } from "../../ffi/linux.ts";
import { errorMessage, HostError } from "../errors.ts";
import { leavesOf } from "./common.ts";
import { thawCgroup, tryFreeze } from "./freezer.ts";
import { readIfThere } from "../os/files.ts";
import { isCode } from "../os/os_error.ts";

/** How long processes may take to die of SIGKILL before the container is given up. */
const KILL_MILLISECONDS = 10_000;

/**
 * How long processes may take to stop before they are killed all the same. It takes less than a
 * millisecond, unless one of them hangs in the kernel.
 */
const FREEZE_MILLISECONDS = 200;

/** How many pidfds are open at a time: a container may have more processes than descriptors are allowed. */
const BATCH = 256;

/**
 * Moves a process, all its threads included, into cgroups.
 *
 * @param directories of a container; only its own are used
 * @throws HostError naming the directory
 */
export function joinCgroup(directories: string[], pid: number): void {
  for (const leaf of leavesOf(directories)) {
    try {
      Deno.writeTextFileSync(`${leaf}/cgroup.procs`, String(pid), { create: false });
    } catch (error) {
      throw new HostError({
        operation: "join cgroup",
        subject: leaf,
        reason: errorMessage(error),
        cause: error,
      });
    }
  }
}

/**
 * The processes in cgroups, without those of child cgroups. Zombies are not among them, nor are
 * processes outside of this pid namespace. A directory that is gone has none.
 */
export function cgroupProcesses(directories: string[]): number[] {
  const pids = leavesOf(directories).flatMap((leaf) => readPids(`${leaf}/cgroup.procs`));
  return [...new Set(pids)];
}

function readPids(file: string): number[] {
  const lines = readIfThere(file, "ENODEV")?.split("\n") ?? [];
  // 0 stands for a process that has no number in this pid namespace; to kill(2) it would mean our own
  // process group.
  return lines.map(Number).filter((pid) => pid > 0);
}

/**
 * Kills everything in a container's cgroups, nobody excluded, and waits until it has exited. Directories
 * that are gone are not an error.
 *
 * @param milliseconds to wait; 0: only kill
 * @throws HostError when something outlives SIGKILL for longer
 */
export async function killCgroup(
  directories: string[],
  milliseconds = KILL_MILLISECONDS,
): Promise<void> {
  const leaves = leavesOf(directories);
  const deadline = performance.now() + milliseconds;
  while (cgroupProcesses(leaves).length > 0) {
    using victims = await killAll(leaves);
    if (milliseconds === 0) return;
    await victims.exit(deadline);
    if (performance.now() < deadline) continue;
    const pids = cgroupProcesses(leaves);
    if (pids.length > 0) throw survivors(leaves, pids, milliseconds);
  }
}

function survivors(leaves: string[], pids: number[], milliseconds: number): HostError {
  return new HostError({
    operation: "kill the processes of cgroup",
    subject: leaves[0],
    reason: `still alive after ${milliseconds} ms: ${pids.join(", ")}`,
    remedy: "they hang in the kernel: see their states in /proc, then try again",
  });
}

/**
 * Sends SIGKILL to everything in cgroups at once, so that nothing escapes by forking: the kernel does
 * it in a cgroup2 tree; where there is none, nothing runs between the list and the signals.
 */
async function killAll(leaves: string[]): Promise<Victims> {
  const isDone = leaves.map(killAtOnce).includes(true);
  if (!isDone) await tryFreeze(leaves, FREEZE_MILLISECONDS);
  try {
    return signalInBatches(leaves, SIGKILL);
  } finally {
    // With version 1's freezer, what is frozen dies only when it is thawed, and does not run any code
    // of its own.
    await thawCgroup(leaves);
  }
}

/** Returns the first of them, which the caller may wait for. */
function signalInBatches(leaves: string[], number: number): Victims {
  const first = Victims.open(leaves);
  first.signal(number);
  const done = new Set(first.pids);
  for (let left = cgroupProcesses(leaves).length; left > BATCH; left -= BATCH) {
    using more = Victims.open(leaves, done);
    more.signal(number);
    more.pids.forEach((pid) => done.add(pid));
  }
  return first;
}

/** Everything in a cgroup2 directory, forks in flight included (cgroup.kill, Linux 5.14). */
function killAtOnce(leaf: string): boolean {
  try {
    Deno.writeTextFileSync(`${leaf}/cgroup.kill`, "1", { create: false });
    return true;
  } catch {
    // v1, an older kernel, or gone: then it is done by other means.
    return false;
  }
}

/**
 * Sends a signal to everything in a container's cgroups but some processes, which are signalled by
 * other means.
 *
 * @returns whether there was anything else
 */
export function signalCgroup(
  directories: string[],
  number: number,
  except: (number | undefined)[] = [],
): boolean {
  using others = Victims.open(leavesOf(directories), new Set(except));
  others.signal(number);
  return others.pids.length > 0;
}

/** A number of processes of cgroups, by their pidfds: a number may be another process's by the time it is used. */
class Victims implements Disposable {
  readonly #opened: { pid: number; pidfd: number }[];

  constructor(opened: { pid: number; pidfd: number }[]) {
    this.#opened = opened;
  }

  static open(leaves: string[], except: Set<number | undefined> = new Set()): Victims {
    const pids = cgroupProcesses(leaves).filter((pid) => !except.has(pid));
    const opened = pids.slice(0, BATCH).flatMap(openPid);
    // What has left meanwhile may be another process.
    const still = new Set(cgroupProcesses(leaves));
    opened.filter(({ pid }) => !still.has(pid)).forEach(({ pidfd }) => close(pidfd));
    return new Victims(opened.filter(({ pid }) => still.has(pid)));
  }

  get pids(): number[] {
    return this.#opened.map(({ pid }) => pid);
  }

  signal(number: number): void {
    for (const { pidfd } of this.#opened) signal(pidfd, number);
  }

  /** Waits until all have exited, or the deadline. */
  async exit(deadline: number): Promise<void> {
    for (const { pidfd } of this.#opened) {
      const left = Math.max(0, deadline - performance.now());
      await pollAsync([{ fd: pidfd, events: POLLIN }], left);
    }
  }

  [Symbol.dispose](): void {
    for (const { pidfd } of this.#opened.splice(0)) close(pidfd);
  }
}

function openPid(pid: number): { pid: number; pidfd: number }[] {
  try {
    return [{ pid, pidfd: pidfdOpen(pid) }];
  } catch (error) {
    if (isCode(error, "ESRCH")) return [];
    throw error;
  }
}

function signal(pidfd: number, number: number): void {
  try {
    pidfdSendSignal(pidfd, number);
  } catch (error) {
    if (!isCode(error, "ESRCH")) throw error;
  }
}
