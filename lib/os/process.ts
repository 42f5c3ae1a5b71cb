import { isGone } from "./os_error.ts";

/** What distinguishes a process from a later one with the same pid, and whether it is alive. */
export interface ProcessStat {
  /** Field 3: `R`, `S`, `D`, `Z` (zombie), `T`, `t`, `X` (dead), `I`. */
  state: string;
  parentPid: number;
  /** Field 22, clock ticks after boot, as decimal digits: it may exceed 2^53. */
  startTime: string;
}

/**
 * Parses /proc/PID/stat.
 *
 * @returns undefined when the text is not of that form
 * @see proc_pid_stat(5)
 */
export function parseProcessStat(text: string): ProcessStat | undefined {
  // The command in parentheses is chosen by the process and may hold ") S 1": only the last ")"
  // ends it.
  const end = text.lastIndexOf(")");
  if (end < 0) return undefined;
  const fields = text.slice(end + 1).trim().split(" ");
  const [state, parentPid] = fields;
  const startTime = fields[22 - 3];
  if (state === undefined || parentPid === undefined || startTime === undefined) return undefined;
  return { state, parentPid: Number(parentPid), startTime };
}

/** @returns undefined when the process does not exist */
export function readProcessStat(pid: number): ProcessStat | undefined {
  try {
    return parseProcessStat(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** @returns what a process calls itself, at most 15 bytes; undefined when it does not exist. @see proc_pid_comm(5) */
export function readName(pid: number): string | undefined {
  try {
    return Deno.readTextFileSync(`/proc/${pid}/comm`).trimEnd();
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** @returns the numbers of a process's threads; none when it does not exist */
export function readThreads(pid: number): number[] {
  try {
    return [...Deno.readDirSync(`/proc/${pid}/task`)].map(({ name }) => Number(name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/**
 * This process as others see it: by its number in the PID namespace that /proc was mounted in, which
 * for an init process is not its own.
 */
export function readOwnProcess(): { pid: number; startTime: string } {
  const pid = Number(Deno.readLinkSync("/proc/self"));
  const { startTime } = readProcessStat(pid)!;
  return { pid, startTime };
}
