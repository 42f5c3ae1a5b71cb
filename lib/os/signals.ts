import { isGone } from "./os_error.ts";

/** What a signal's number is added to in the exit code of what it ended: a shell's convention. */
export const SIGNAL_EXIT_BASE = 128;

/**
 * How a process takes a signal that terminates other processes: it has set a disposition, or it blocks
 * it, or the kernel drops it, since this one is the first of its PID namespace and has not come as far
 * as to say what it does with that signal (pid_namespaces(7)).
 *
 * One that blocks it may wait for it with signalfd(2), and may as well have blocked everything for a
 * moment, as QEMU does while it makes a thread: when that is over, the kernel drops the signal after all.
 */
export type SignalFate = "decided" | "blocked" | "dropped";

/**
 * Reads a signal's fate.
 *
 * @param text of /proc/PID/status
 * @returns "decided", too, when the text does not say
 * @see proc_pid_status(5): NSpid, and masks in which bit n-1 is signal n
 */
export function fateOf(text: string, signal: number): SignalFate {
  const own = /^NSpid:.*\s(\d+)$/m.exec(text)?.[1];
  if (own !== "1") return "decided";
  const bit = 1n << BigInt(signal - 1);
  const isIn = (name: string) => {
    const mask = RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(text)?.[1];
    return mask === undefined || (BigInt(`0x${mask}`) & bit) !== 0n;
  };
  if (isIn("SigCgt") || isIn("SigIgn")) return "decided";
  return isIn("SigBlk") ? "blocked" : "dropped";
}

/** As `fateOf`, of a process; "decided" when it does not exist. */
export function signalFate(pid: number, signal: number): SignalFate {
  try {
    return fateOf(Deno.readTextFileSync(`/proc/${pid}/status`), signal);
  } catch (error) {
    if (isGone(error)) return "decided";
    throw error;
  }
}
