/**
 * What this process decides and does, for a person who asked to see it (`--debug`). A module that has
 * something to say calls `debug`; the front end says where that goes. A process has one listener, as it
 * has one log; without one nothing is made, and a caller that would have to work for its line asks
 * `isWatched` first.
 *
 * Nothing secret may be said: no value of an environment variable, no content of a file.
 */
import { formatError } from "./errors.ts";
import type { LogFields } from "./log.ts";
import { after } from "./os/timer.ts";

/** Takes one line. */
export type Listener = (message: string, fields?: LogFields) => void;

/** A running action is mentioned after so long, then after twice that, and so on. Milliseconds. */
const FIRST_REMINDER = 1000;

let listener: Listener | undefined;

/** Sends all lines of this process there from now on; undefined: nowhere. */
export function listen(to: Listener | undefined): void {
  listener = to;
}

/** Whether a line would be seen. */
export function isWatched(): boolean {
  return listener !== undefined;
}

/** Says what is decided or done. */
export function debug(message: string, fields?: LogFields): void {
  listener?.(message, fields);
}

/** Milliseconds since a moment of `performance.now()`, with two decimals. */
export function since(moment: number): number {
  return roundTo2(performance.now() - moment);
}

/** For logs: 0.01 ms is as precise as the clock is meaningful. */
export function roundTo2(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** As `timed`, for an action that blocks the thread: it is announced, so that a log ends with it if it hangs. */
export function timedSync<T>(what: string, action: () => T, fields?: LogFields): T {
  if (listener === undefined) return action();
  debug(`${what} …`, fields);
  const began = performance.now();
  try {
    const value = action();
    debug(what, { ms: since(began), ...fields });
    return value;
  } catch (error) {
    debug(`${what}: ${formatError(error)}`, { ms: since(began), ...fields });
    throw error;
  }
}

/**
 * Does something, and says how long it took, or that it failed. What takes a second or more is mentioned
 * while it runs.
 */
export async function timed<T>(
  what: string,
  action: () => T | Promise<T>,
  fields?: LogFields,
): Promise<T> {
  if (listener === undefined) return await action();
  const began = performance.now();
  const stop = remind(() => what, fields);
  try {
    const value = await action();
    debug(what, { ms: since(began), ...fields });
    return value;
  } catch (error) {
    debug(`${what}: ${formatError(error)}`, { ms: since(began), ...fields });
    throw error;
  } finally {
    stop();
  }
}

/**
 * Mentions after 1, 2, 4 … seconds that something still runs.
 *
 * @param what runs at that moment
 * @returns ends that
 */
export function remind(what: () => string, fields?: LogFields): () => void {
  if (listener === undefined) return () => {};
  const began = performance.now();
  const wait = (milliseconds: number) =>
    after(milliseconds, () => {
      debug(`still at: ${what()}`, { ms: since(began), ...fields });
      timer = wait(2 * milliseconds);
    });
  let timer = wait(FIRST_REMINDER);
  return () => timer.cancel();
}
