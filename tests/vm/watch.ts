/**
 * Notices that a node has halted. Under nested KVM an emulated machine can come to rest for good (all
 * its processors wait for an interrupt that never comes), or its kernel panics: no test in it would
 * ever end.
 */

/** What is watched, and how patiently. */
export interface Watched {
  /** The emulator's process. */
  pid: number;
  /** The port on 127.0.0.1 that leads to the node's ssh. */
  port: number;
  /** What its kernel says. */
  consoleFile: string;
  /** Only a node that was silent and idle for so long has halted; 60 by default. */
  silentSeconds?: number;
  /**
   * A node that was silent while its emulator used so many seconds of processors has halted; 240 by
   * default. On a machine that others keep busy it may get a tenth of one.
   */
  deafSeconds?: number;
}

/** Less than this share of one processor is no work: what is left is the emulator's own clock. */
const IDLE_SHARE = 0.03;

/** Within the time of silence; a pause and a greeting that does not come take one each. */
const LOOKS = 12;

/** The first words of the last thing that a kernel says (panic() in kernel/panic.c). */
const PANIC = /^.*Kernel panic - not syncing:.*$/m;

/**
 * Watches until the node has halted: its kernel says so, or ssh does not greet, and meanwhile the
 * emulator computes nothing. A node which is slow, because it boots or its host is busy, computes;
 * but not minutes of a processor's time.
 *
 * @param signal ends the watch
 * @returns what was seen; undefined when the emulator or the watch has ended
 */
export async function watchForHalt(
  { pid, port, consoleFile, silentSeconds = 60, deafSeconds = 240 }: Watched,
  signal: AbortSignal,
): Promise<string | undefined> {
  const start = { at: performance.now(), used: processorSeconds(pid) };
  let greeted = start;
  let worked = start.at;
  let last = start;
  while (!signal.aborted) {
    const greeting = await greets(port, silentSeconds / LOOKS);
    const now = { at: performance.now(), used: processorSeconds(pid) };
    if (last.used === undefined || now.used === undefined) return undefined;
    if (greeting) greeted = now;
    if (now.used - last.used > IDLE_SHARE * (now.at - last.at) / 1000) worked = now.at;
    const panic = PANIC.exec(await Deno.readTextFile(consoleFile).catch(() => ""));
    if (panic !== null) return panic[0].trim();
    const deaf = now.used - (greeted.used ?? now.used);
    if (deaf >= deafSeconds) {
      return `no ssh while its emulator used ${deaf.toFixed(0)} s of processors`;
    }
    const seconds = (now.at - Math.max(greeted.at, worked)) / 1000;
    if (seconds >= silentSeconds) {
      return `no ssh and no work of its processors for ${seconds.toFixed(0)} s`;
    }
    last = now;
    await sleep(silentSeconds / LOOKS, signal);
  }
  return undefined;
}

/**
 * Whether ssh greets: that the emulator accepts a connection says nothing about the node in it.
 *
 * @param port on 127.0.0.1
 */
export async function greets(port: number, seconds: number): Promise<boolean> {
  let connection: Deno.TcpConn | undefined;
  const late = new AbortController();
  const timer = setTimeout(() => {
    // A stopped emulator accepts a few connections, and then not even that.
    late.abort();
    if (connection !== undefined) close(connection);
  }, seconds * 1000);
  try {
    connection = await Deno.connect({ hostname: "127.0.0.1", port, signal: late.signal });
    const buffer = new Uint8Array(4);
    const count = await connection.read(buffer);
    return new TextDecoder().decode(buffer.subarray(0, count ?? 0)).startsWith("SSH");
  } catch {
    // Refused, reset, or closed by the timer.
    return false;
  } finally {
    clearTimeout(timer);
    if (connection !== undefined) close(connection);
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch { /* it is closed */ }
}

/** What a process has used, ended threads included; undefined when there is no such process. */
export function processorSeconds(pid: number): number | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // utime and stime: fields 14 and 15 of proc_pid_stat(5), in hundredths (USER_HZ) on x86.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z") return undefined;
    return (Number(fields[11]) + Number(fields[12])) / 100;
  } catch {
    return undefined;
  }
}

function sleep(seconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, seconds * 1000);
    signal.addEventListener("abort", done);
  });
}

/** What was seen in a node cannot be trusted: emulated KVM corrupts memory and loses what wakes guests. */
export class NodeDoubted extends Error {}

/** A node halted: not what the test found out about urunc. */
export class NodeHalted extends NodeDoubted {}

/** How many nodes are made up for: what goes wrong more often is no chance. */
const ANEW = 3;

/**
 * Runs `attempt`, and again when its node halted or is in doubt; the results say so.
 *
 * @throws whatever the last attempt threw
 */
export async function inAnotherNode<T>(
  attempt: () => Promise<T>,
  say: (line: string) => void = console.error,
): Promise<T> {
  for (let count = 1;; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof NodeDoubted) || count > ANEW) throw error;
      const what = error.message.replaceAll(/\s*\n\s*/g, " | ");
      const kind = error instanceof NodeHalted ? "A NODE HALTED" : "FAILED IN A NODE";
      say(`${kind}: ${what}; booting another (${count} of ${ANEW})`);
    }
  }
}
