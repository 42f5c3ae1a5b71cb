import { close, LinuxError, pidfdOpen, poll, POLLIN } from "../../ffi/linux.ts";
import { readProcessStat } from "./process.ts";

/**
 * Whether this very process is alive: until its last thread has exited, whatever state its first one
 * is in. A process whose main thread has exited is a zombie to ps(1), and runs on.
 *
 * @param startTime field 22 of /proc/PID/stat when the process was recorded; undefined: it was never
 *   seen alive
 */
export function isAlive(pid: number | undefined, startTime: string | undefined): boolean {
  const pidfd = openAlive(pid, startTime);
  if (pidfd === undefined) return false;
  close(pidfd);
  return true;
}

/**
 * A pidfd of this very process, so that never a later one with the same number is signalled; the
 * caller closes it. Undefined when the process has exited. The start time is compared after the pidfd
 * was opened: from then on the number cannot be reused unnoticed.
 *
 * @param startTime as of `isAlive`
 * @throws LinuxError EMFILE and the like: then nothing is known
 */
export function openAlive(
  pid: number | undefined,
  startTime: string | undefined,
): number | undefined {
  if (pid === undefined || startTime === undefined) return undefined;
  const pidfd = openIfThere(pid);
  if (pidfd === undefined) return undefined;
  if (!hasExited(pidfd) && readProcessStat(pid)?.startTime === startTime) return pidfd;
  close(pidfd);
  return undefined;
}

/** ESRCH: no such process. EINVAL, and ENOENT since Linux 6.15: the number is a thread's. */
function openIfThere(pid: number): number | undefined {
  try {
    return pidfdOpen(pid);
  } catch (error) {
    if (error instanceof LinuxError && ["ESRCH", "EINVAL", "ENOENT"].includes(error.code)) {
      return undefined;
    }
    throw error;
  }
}

/** A pidfd is readable when all threads have exited (pidfd_open(2)), and not before. */
function hasExited(pidfd: number): boolean {
  return poll([{ fd: pidfd, events: POLLIN }], 0)[0] !== 0;
}
