import type { ProcessorTime } from "./guest_time.ts";
import { WaitingTime } from "./waiting.ts";

/**
 * How long a monitor may take to answer, without the time that it waits for a processor. Ours take 1 ms;
 * a stopped one never answers. Milliseconds.
 */
const ANSWER = 1000;

/**
 * How much longer a whole conversation may take because the monitor waits for a processor. With 1 % of
 * one an answer takes some hundred milliseconds, with a tenth of that more than a second. A hostile
 * monitor can have threads that wait all the time. Milliseconds.
 */
const WAITING = 4000;

/** An answer that arrives by then needs no statistics, which are more expensive. Milliseconds. */
const UNWATCHED = 100;

/**
 * How often the statistics are read. Not more often when the monitor sends something: it could send its
 * answer byte by byte. Milliseconds.
 */
const INTERVAL = 50;

/**
 * How long to wait for the answers of a monitor that may be stopped, may be hostile, or may itself wait
 * for a processor: for its own threads or, since they exclude each other, for one of its guest.
 */
export class Patience {
  readonly #read: () => ProcessorTime | undefined;
  readonly #now: () => number;
  /** What is left of `WAITING`, before the current answer. */
  #spare = WAITING;
  #used = 0;
  #began = 0;
  #time?: WaitingTime;
  /** At the last reading. */
  #seen = { at: 0, waited: 0 };

  /**
   * @param read statistics of all the monitor's threads
   * @param now milliseconds; another clock in tests
   */
  constructor(read: () => ProcessorTime | undefined, now = () => performance.now()) {
    this.#read = read;
    this.#now = now;
  }

  /** Starts waiting for the next answer. */
  begin(): void {
    this.#spare -= this.#used;
    this.#used = 0;
    this.#began = this.#now();
    this.#time = undefined;
    this.#seen = { at: -Infinity, waited: 0 };
  }

  /** How many milliseconds to wait before asking again; 0: give up. */
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
