import { exists } from "../../../os/files.ts";
import { isGone } from "../../../os/os_error.ts";
import { parseProcessStat } from "../../../os/process.ts";

/** How threads were scheduled since they started. */
export interface ProcessorTime {
  /** Milliseconds that they ran on a processor of the host. */
  ran: number;
  /** Milliseconds that they waited for one, until they got it. */
  waited: number;
  /** Whether one of them runs now, or waits to run, which is not counted yet. */
  wantsOne: boolean;
}

/**
 * Processor time of a virtual machine's processors so far: that of all the monitor's threads but the
 * first, which is the monitor's own.
 *
 * @param pid of the monitor
 * @returns undefined when it has exited, or the kernel does not keep these statistics
 * @see proc_pid_schedstat(5): nanoseconds on a processor, waiting for one, time slices
 */
export function readGuestTime(pid: number): ProcessorTime | undefined {
  return readTime(pid, (thread) => thread !== String(pid));
}

/** As `readGuestTime`, of all threads of the monitor. */
export function readMonitorTime(pid: number): ProcessorTime | undefined {
  return readTime(pid, () => true);
}

function readTime(pid: number, counts: (thread: string) => boolean): ProcessorTime | undefined {
  const threads: ProcessorTime[] = [];
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/task`)) {
      if (counts(name)) threads.push(readThreadTime(pid, name));
    }
  } catch {
    // It is exiting, or CONFIG_SCHED_INFO is not set.
    return undefined;
  }
  return threads.length === 0 ? undefined : threads.reduce((sum, thread) => ({
    ran: sum.ran + thread.ran,
    waited: sum.waited + thread.waited,
    wantsOne: sum.wantsOne || thread.wantsOne,
  }));
}

/** Zero for a thread that has exited: helper threads of a monitor come and go. */
function readThreadTime(pid: number, thread: string): ProcessorTime {
  const directory = `/proc/${pid}/task/${thread}`;
  try {
    const [ran, waited] = Deno.readTextFileSync(`${directory}/schedstat`).split(" ");
    const stat = parseProcessStat(Deno.readTextFileSync(`${directory}/stat`));
    return { ran: Number(ran) / 1e6, waited: Number(waited) / 1e6, wantsOne: stat?.state === "R" };
  } catch (error) {
    if (isGone(error) && !exists(directory)) return { ran: 0, waited: 0, wantsOne: false };
    throw error;
  }
}
