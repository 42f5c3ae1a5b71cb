import type { ProcessorTime } from "./guest_time.ts";

/** How threads were scheduled since watching began. Milliseconds. */
export interface Account {
  /** Elapsed time. */
  elapsed: number;
  /** On a processor, the sum of all; undefined without statistics; negative: some have exited. */
  ran?: number;
  /** Waiting for a processor, the sum of all. */
  waited: number;
}

/**
 * Watches how long threads wait for a processor that others use, or that a limit denies them. It must
 * be called repeatedly: the kernel counts a wait when it is over, so an ongoing one shows only in that
 * the threads have not run since the previous call.
 */
export class WaitingTime {
  readonly #read: () => ProcessorTime | undefined;
  readonly #now: () => number;
  readonly #start: ProcessorTime | undefined;
  readonly #began: number;
  /** When they were last seen to run. */
  #last: { ran?: number; at: number };
  /** The kernel's count at the last call, and its growth until then. */
  #counted: { time: number; since: number };

  /**
   * @param read the threads' statistics so far
   * @param now milliseconds; another clock in tests
   */
  constructor(read: () => ProcessorTime | undefined, now = () => performance.now()) {
    this.#read = read;
    this.#now = now;
    this.#start = read();
    this.#began = now();
    this.#last = { ran: this.#start?.ran, at: this.#began };
    this.#counted = { time: this.#start?.waited ?? 0, since: 0 };
  }

  look(): Account {
    const now = this.#now();
    const elapsed = now - this.#began;
    const time = this.#read();
    if (this.#start === undefined || time === undefined) return { elapsed, waited: 0 };
    if (time.ran !== this.#last.ran) this.#last = { ran: time.ran, at: now };
    // Less than before: a thread has exited, and its waiting time is gone.
    const more = Math.max(0, time.waited - this.#counted.time);
    this.#counted = { time: time.waited, since: this.#counted.since + more };
    return {
      elapsed,
      ran: time.ran - this.#start.ran,
      waited: this.#counted.since + (time.wantsOne ? now - this.#last.at : 0),
    };
  }
}
