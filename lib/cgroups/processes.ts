import { close, pidfdOpen, pidfdSendSignal, SIGKILL } from "../../ffi/linux.ts";
import { errorMessage, HostError } from "../errors.ts";
import { delay } from "../os/timer.ts";
import { leavesOf } from "./common.ts";
import { thawCgroup } from "./freezer.ts";
import { readIfThere } from "../os/files.ts";
import { isCode } from "../os/os_error.ts";

/** How long processes may take to die of SIGKILL before the container is given up. */
const KILL_MILLISECONDS = 5000;

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
 * Kills everything in a container's cgroups and waits until it is gone. Directories that are gone
 * are not an error.
 *
 * @throws HostError when something outlives SIGKILL for longer than `milliseconds`
 */
export async function killCgroup(
  directories: string[],
  milliseconds = KILL_MILLISECONDS,
): Promise<void> {
  const leaves = leavesOf(directories);
  const deadline = performance.now() + milliseconds;
  for (let wait = 1;; wait = Math.min(wait * 2, 50)) {
    const pids = cgroupProcesses(leaves);
    if (pids.length === 0) return;
    for (const leaf of leaves) killAtOnce(leaf);
    signalEach(leaves, pids, SIGKILL);
    await thawCgroup(leaves);
    if (performance.now() > deadline) {
      throw new HostError({
        operation: "kill the processes of cgroup",
        subject: leaves[0],
        reason: `still alive after ${milliseconds} ms: ${cgroupProcesses(leaves).join(", ")}`,
      });
    }
    await delay(wait);
  }
}

/** A cgroup2 directory ends all at once, forks in flight included (cgroup.kill, Linux 5.14). */
function killAtOnce(leaf: string): void {
  try {
    Deno.writeTextFileSync(`${leaf}/cgroup.kill`, "1", { create: false });
  } catch {
    // v1, an older kernel, or gone: killing one by one does it too.
  }
}

/**
 * Sends a signal to everything in a container's cgroups.
 *
 * @param except are left alone
 * @returns whether there was anything else
 */
export function signalCgroup(
  directories: string[],
  number: number,
  except: (number | undefined)[] = [],
): boolean {
  const leaves = leavesOf(directories);
  const pids = cgroupProcesses(leaves).filter((pid) => !except.includes(pid));
  signalEach(leaves, pids, number);
  return pids.length > 0;
}

/** A number may be another process's by the time it is used; a pidfd cannot, once it was checked. */
function signalEach(leaves: string[], pids: number[], number: number): void {
  const opened = pids.flatMap((pid) => {
    try {
      return [{ pid, pidfd: pidfdOpen(pid) }];
    } catch (error) {
      if (isCode(error, "ESRCH")) return [];
      throw error;
    }
  });
  try {
    const still = new Set(cgroupProcesses(leaves));
    for (const { pid, pidfd } of opened) {
      if (still.has(pid)) signal(pidfd, number);
    }
  } finally {
    for (const { pidfd } of opened) close(pidfd);
  }
}

function signal(pidfd: number, number: number): void {
  try {
    pidfdSendSignal(pidfd, number);
  } catch (error) {
    if (!isCode(error, "ESRCH")) throw error;
  }
}
