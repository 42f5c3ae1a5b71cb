/**
 * Waiting for descriptors.
 * @module
 */
import { retried } from "../errors.ts";
import { allocateStruct, getField, POLLFD, setField, type Struct } from "../structs.ts";
import * as symbols from "../symbols/poll.ts";

/** A descriptor and the POLL* events to wait for. */
export interface PollRequest {
  fd: number;
  events: number;
}

type Requests = Struct<keyof typeof POLLFD.fields>;

/**
 * @param fds may be empty: then it only waits
 * @param timeoutMs milliseconds; negative: without a limit
 * @returns the POLL* events of each descriptor; all 0 after a timeout
 * @throws {LinuxError}
 * @see poll(2)
 */
export function poll(fds: PollRequest[], timeoutMs: number): number[] {
  const requests = toStructs(fds);
  const deadline = performance.now() + timeoutMs;
  retried("poll", subject(fds), () => {
    const left = timeoutMs < 0 ? -1 : Math.max(0, Math.ceil(deadline - performance.now()));
    return symbols.poll(requests.bytes, BigInt(fds.length), left);
  });
  return fds.map((_, index) => getField(requests, "revents", index));
}

/**
 * As `poll`, in another thread. It cannot be cancelled: to end it, include a descriptor that the
 * caller can make ready.
 */
export async function pollAsync(fds: PollRequest[], timeoutMs: number): Promise<number[]> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const requests = toStructs(fds);
    const left = timeoutMs < 0 ? -1 : Math.max(0, Math.ceil(deadline - performance.now()));
    const result = await symbols.pollNonblocking(requests.bytes, BigInt(fds.length), left);
    if (result >= 0) return fds.map((_, index) => getField(requests, "revents", index));
    // errno is the other thread's. It was a signal, or an error that the same call reports here.
    const now = poll(fds, 0);
    if (now.some((revents) => revents !== 0)) return now;
  }
}

function toStructs(fds: PollRequest[]): Requests {
  const requests = allocateStruct(POLLFD, Math.max(1, fds.length));
  fds.forEach(({ fd, events }, index) => {
    setField(requests, "fd", fd, index);
    setField(requests, "events", events, index);
  });
  return requests;
}

function subject(fds: PollRequest[]): string {
  return `fds ${fds.map(({ fd }) => fd).join(", ")}`;
}
