import { isGone } from "./process.ts";

/**
 * Whether the kernel would drop a signal that ends other processes: this one is the first of its PID
 * namespace, and has not come as far as to say what it does with that signal (pid_namespaces(7)).
 * A signal that it ignores or blocks has met with its decision.
 *
 * @param text of /proc/PID/status
 * @returns false, too, when the text does not tell
 * @see proc_pid_status(5): NSpid, and masks in which bit n-1 is signal n
 */
export function dropsSignal(text: string, signal: number): boolean {
  const own = /^NSpid:.*\s(\d+)$/m.exec(text)?.[1];
  if (own !== "1") return false;
  const bit = 1n << BigInt(signal - 1);
  return ["SigCgt", "SigIgn", "SigBlk"].every((name) => {
    const mask = RegExp(`^${name}:\\s*([0-9a-f]+)$`, "m").exec(text)?.[1];
    return mask !== undefined && (BigInt(`0x${mask}`) & bit) === 0n;
  });
}

/** As `dropsSignal`, of a process; false when there is none. */
export function processDropsSignal(pid: number, signal: number): boolean {
  try {
    return dropsSignal(Deno.readTextFileSync(`/proc/${pid}/status`), signal);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
}
