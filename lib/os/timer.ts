/** A call that is to come. */
export interface Timer {
  cancel(): void;
}

/**
 * Calls later. It is made of AbortSignal.timeout because the first use of setTimeout or clearTimeout loads
 * Node's timers: 5 to 15 ms, which the start of a container would wait for.
 *
 * @param milliseconds from 0 to 2**53 - 1
 */
export function after(milliseconds: number, callback: () => void): Timer {
  const signal = AbortSignal.timeout(milliseconds);
  signal.addEventListener("abort", callback);
  return { cancel: () => signal.removeEventListener("abort", callback) };
}

/** @param milliseconds from 0 to 2**53 - 1 */
export function delay(milliseconds: number): Promise<void> {
  return new Promise((resolve) => after(milliseconds, resolve));
}
