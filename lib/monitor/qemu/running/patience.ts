import type { ProcessorTime } from "./guest_time.ts";
import { WaitingTime } from "./waiting.ts";

/**
 * How long a monitor may take for an answer, apart from the time that it has to wait for a processor.
 * Ours take 1 ms; a stopped one never answers. Milliseconds.
 */
const ANSWER = 1000;

/**
 * How much longer a whole conversation may take because its monitor has to wait. At 1 % of a processor
 * an answer takes some hundred milliseconds, at a tenth of that more than a second. A hostile monitor can
 * have threads that wait all the time. Milliseconds.
 */
const WAITING = 4000;

/** An answer that is there by then needs no accounts, which cost more than it does. Milliseconds. */
const UNWATCHED = 100;

/**
 * How often is looked whether the monitor waits, and no more often: it decides how often it says
 * something, if only a letter of the answer. Milliseconds.
 */
const INTERVAL = 50;

/**
 * How long somebody waits for the answers of a monitor that may be stopped, may be hostile, or may only
 * have to wait for a processor itself: be it for its own threads or, since they exclude each other, for
 * one of its guest.
 */
export class Patience {
  readonly #read: () => ProcessorTime | undefined;
  readonly #now: () => number;
  /** What is left of `WAITING`, but for the answer that is awaited. */
  #spare = WAITING;
  #used = 0;
  #began = 0;
  #time?: WaitingTime;
  /** At the last look. */
  #seen = { at: 0, waited: 0 };

  /**
   * @param read accounts of all the monitor's threads
   * @param now milliseconds; another clock in tests
   */
  constructor(read: () => ProcessorTime | undefined, now = () => performance.now()) {
    this.#read = read;
    this.#now = now;
  }

  /** The next answer is awaited from now on. */
  begin(): void {
    this.#spare -= this.#used;
    this.#used = 0;
    this.#began = this.#now();
    this.#time = undefined;
    this.#seen = { at: -Infinity, waited: 0 };
  }

  /** For how many milliseconds the answer may be waited for until this is asked again; 0: no longer. */
  left(): number {
    const now = this.#now();
    const elapsed = now - this.#began;
    if (elapsed < UNWATCHED) return UNWATCHED - elapsed;
    this.#used = Math.min(Math.max(0, elapsed - ANSWER), this.#spare);
    const waited = Math.min(this.#waited(now), elapsed, this.#spare);
    return Math.min(INTERVAL, Math.max(0, ANSWER + waited - elapsed));
  }

  #waited(now: number): number {
    this.#time ??= new WaitingTime(this.#read, this.#now);
    if (now - this.#seen.at >= INTERVAL) this.#seen = { at: now, waited: this.#time.look().waited };
    return this.#seen.waited;
  }
}
