import type { ProcessorTime } from "./guest_time.ts";

/** What threads have had since somebody began to look. Milliseconds. */
export interface Account {
  /** Since then, by the clock. */
  elapsed: number;
  /** On a processor, all together; undefined where nobody keeps accounts; less than 0: some have ended. */
  ran?: number;
  /** In which one of them waited for a processor; of several all that they waited. */
  waited: number;
}

/**
 * Watches how long threads wait for a processor that others have, or that a limit denies them. It must
 * look every now and then: the kernel counts a wait when it is over, so that one that goes on is known
 * only by what nothing has come of since the look before.
 */
export class WaitingTime {
  readonly #read: () => ProcessorTime | undefined;
  readonly #now: () => number;
  readonly #start: ProcessorTime | undefined;
  readonly #began: number;
  /** When they were seen to run for the last time. */
  #last: { ran?: number; at: number };
  /** What the kernel had counted at the last look, and how much that had become more until then. */
  #counted: { time: number; since: number };

  /**
   * @param read the threads' accounts so far
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
    // Less than before: a thread has ended, and takes with it what it waited before anybody looked.
    const more = Math.max(0, time.waited - this.#counted.time);
    this.#counted = { time: time.waited, since: this.#counted.since + more };
    return {
      elapsed,
      ran: time.ran - this.#start.ran,
      waited: this.#counted.since + (time.wantsOne ? now - this.#last.at : 0),
    };
  }
}
