/**
 * Bounds of time on a machine that others keep busy: what a test says is for one with a processor to
 * spare, and holds there to the letter.
 */

/** Below this share of idle processors others have to be waited for. */
const IDLE_SHARE = 0.2;

/** How many times as long things may take then. Measured with two busy loops on two processors: up to 4. */
export const ALLOWANCE = 5;

/** Of all processors since the machine was started, in clock ticks: proc_stat(5). */
interface ProcessorTicks {
  idle: number;
  all: number;
}

/** Measures a time, and how busy the machine was meanwhile. */
export class Stopwatch {
  readonly #began = performance.now();
  readonly #ticks: ProcessorTicks;
  readonly #read: () => ProcessorTicks;

  /** @param read the machine's account; another one in tests */
  constructor(read = readTicks) {
    this.#read = read;
    this.#ticks = read();
  }

  /** Since it was made. */
  milliseconds(): number {
    return performance.now() - this.#began;
  }

  /** How many times as long as usual anything may have taken since then; 1 on a quiet machine. */
  allowance(): number {
    const now = this.#read();
    const all = now.all - this.#ticks.all;
    // Too short to tell.
    if (all === 0) return 1;
    return (now.idle - this.#ticks.idle) / all < IDLE_SHARE ? ALLOWANCE : 1;
  }

  /** Whether so many milliseconds are over, and what a busy machine is allowed beyond them. */
  isOver(limit: number, allowance = ALLOWANCE): boolean {
    const elapsed = this.milliseconds();
    return elapsed > limit && (elapsed > limit * allowance || this.allowance() === 1);
  }

  /**
   * @param limit in milliseconds
   * @param what for the message: "the stop"
   * @throws Error when it has taken longer
   */
  assertWithin(limit: number, what: string): void {
    if (!this.isOver(limit)) return;
    const busy = this.allowance() > 1 ? ` on a busy machine, ${ALLOWANCE} times its limit` : "";
    throw new Error(`${what} took ${Math.round(this.milliseconds())} ms, limit ${limit}${busy}`);
  }
}

/** Something that happens unless it is cancelled before. */
export interface Deadline {
  cancel(): void;
}

/** Calls once so many seconds are over, and what a busy machine is allowed beyond them. */
export function whenOver(
  seconds: number,
  callback: () => void,
  allowance = ALLOWANCE,
): Deadline {
  const watch = new Stopwatch();
  const limit = seconds * 1000;
  const look = () => {
    if (watch.isOver(limit, allowance)) return callback();
    // The machine may be quiet again before all of that is over.
    timer = setTimeout(look, Math.max(10, limit / 4));
  };
  let timer = setTimeout(look, limit);
  return { cancel: () => clearTimeout(timer) };
}

function readTicks(): ProcessorTicks {
  const line = Deno.readTextFileSync("/proc/stat").split("\n", 1)[0] ?? "";
  const ticks = line.split(/\s+/).slice(1).map(Number);
  // user nice system idle iowait irq softirq steal; guest times are in the first two.
  const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
  return { idle, all: ticks.slice(0, 8).reduce((sum, it) => sum + it, 0) };
}
