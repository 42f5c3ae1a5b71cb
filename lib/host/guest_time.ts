import { isGone } from "./process.ts";

/**
 * Processor time that a virtual machine's processors have used so far, in milliseconds: that of all
 * the monitor's threads but the first, which is the monitor's own.
 *
 * @param pid of the monitor
 * @returns undefined when it has ended, or the kernel does not keep such accounts
 * @see proc_pid_schedstat(5): nanoseconds on a processor, waiting for one, time slices
 */
export function readGuestTime(pid: number): number | undefined {
  let nanoseconds: number | undefined;
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      if (name === String(pid)) continue;
      nanoseconds = (nanoseconds ?? 0) + readThreadTime(pid, name);
    }
  } catch {
    // It ends right now, or CONFIG_SCHED_INFO is not set.
    return undefined;
  }
  return nanoseconds === undefined ? undefined : nanoseconds / 1e6;
}

/** 0 for a thread that has ended: helpers of a monitor come and go. */
function readThreadTime(pid: number, thread: string): number {
  try {
    const directory = `/proc/${pid}/task/${thread}`;
    const [ran] = Deno.readTextFileSync(`${directory}/schedstat`).split(" ");
    return Number(ran);
  } catch (error) {
    if (isGone(error) && !exists(`/proc/${pid}/task/${thread}`)) return 0;
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
