import {
  close,
  LinuxError,
  MSG_NOSIGNAL,
  poll,
  POLLIN,
  read,
  readAsync,
  send,
} from "../../ffi/linux.ts";
import type { State } from "../oci/state.ts";
import type { LogFields } from "../log.ts";
import type { NetworkFacts } from "../network/types.ts";
import type { LaunchPlan } from "../plan/types.ts";
import type { StepTimes } from "./observer.ts";

/**
 * The handshake between the creator (the command line or the shim) and init:
 *
 * ```
 * creator                                   init
 *   | spawn, join its cgroups                 |
 *   | -- stdio (the shim only) -------------> | its standard files
 *   | -- perform (namespaces) --------------> | unshare …
 *   | <------------------------- performed -- |
 *   | prestart and createRuntime hooks        |
 *   | -- readNetwork -----------------------> |
 *   | <--------------------------- network -- |
 *   | -- perform (launch) ------------------> | network, root …
 *   | <--------------------- releaseRootfs -- | only when the root is to be the guest's disk
 *   | unmounts it                             |
 *   | -- released --------------------------> | pivot, credentials …
 *   | <--------------------------- barrier -- | only the exec is left
 *   | <----------------------- end of file -- | is the waiter, and waits on the start socket
 *   | proves the identity, closes             |
 *   |                                         |
 *   start: connects, "start" ---------------> | the monitor is executed: end of file | its error
 * ```
 *
 * Until it is the waiter init may answer `failed` at any time, and it ends when the creator is gone before the barrier. When it
 * is watched, it sends a report whenever it likes, until the barrier.
 */
export type CreatorMessage =
  /** Three bytes follow, each with a descriptor: see stdio.ts. Not answered. */
  | { type: "stdio" }
  /** With `watched`, init reports each step after it was done, and whatever else it has to say. */
  | { type: "perform"; plan: LaunchPlan; state: State; watched?: boolean }
  | { type: "readNetwork" }
  | { type: "released" };

export type InitMessage =
  /** `hostname` is the one of init's UTS namespace by then. */
  | { type: "performed"; times: StepTimes; hostname: string }
  | { type: "network"; network: NetworkFacts | null }
  | { type: "releaseRootfs" }
  | { type: "barrier"; times: StepTimes }
  | { type: "failed"; failure: StepFailure }
  | Report;

/** What init says only when it is watched. It is not answered. */
export type Report =
  | { type: "step"; index: number; ms: number }
  | { type: "note"; message: string; fields?: LogFields };

/** What went wrong in init, and at which step. */
export interface StepFailure {
  /** `launch step 12, mknod /dev/kvm`; the phase alone when no step was begun. */
  step: string;
  message: string;
  /** Which kind of step that was. */
  kind?: string;
  /** Symbolic errno, when the kernel refused. */
  code?: string;
  /** Where it was, when init is watched. */
  stack?: string;
}

/** A message longer than this is not one of ours. Bytes. */
const MAXIMUM_MESSAGE = 16 * 1024 * 1024;
const HEADER = 4;

/**
 * One end of a stream socket that carries JSON messages, each after its length in bytes (u32,
 * little-endian). `Outgoing` and `Incoming` are the message types of this end.
 */
export class Channel<Outgoing, Incoming> {
  readonly fd: number;

  constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * Sends messages, all at once: the other end cannot have gone because of the first when the second
   * comes. Throws LinuxError, EPIPE when the other end is gone.
   */
  send(...messages: Outgoing[]): void {
    const bodies = messages.map((it) => new TextEncoder().encode(JSON.stringify(it)));
    const frames = new Uint8Array(bodies.reduce((sum, it) => sum + HEADER + it.length, 0));
    let at = 0;
    for (const body of bodies) {
      new DataView(frames.buffer).setUint32(at, body.length, true);
      frames.set(body, at + HEADER);
      at += HEADER + body.length;
    }
    // Without SIGPIPE, whose default action init restores before it is done with this channel.
    for (let sent = 0; sent < frames.length;) {
      sent += send(this.fd, frames.subarray(sent), MSG_NOSIGNAL);
    }
  }

  /** The next message; undefined when the other end is gone. Blocks the thread. */
  receive(): Incoming | undefined {
    const header = readWhole(this.fd, HEADER);
    if (header === undefined) return undefined;
    const body = readWhole(this.fd, bodyLength(header));
    return body === undefined ? undefined : decode(body);
  }

  /** Like `receive`, but waits in another thread, if it has to. */
  async receiveAsync(): Promise<Incoming | undefined> {
    const header = await readWholeAsync(this.fd, HEADER);
    if (header === undefined) return undefined;
    const body = await readWholeAsync(this.fd, bodyLength(header));
    return body === undefined ? undefined : decode(body);
  }

  close(): void {
    close(this.fd);
  }
}

function bodyLength(header: Uint8Array): number {
  const length = new DataView(header.buffer).getUint32(0, true);
  if (length > MAXIMUM_MESSAGE) throw new Error(`message of ${length} bytes between the processes`);
  return length;
}

function decode<T>(body: Uint8Array): T {
  return JSON.parse(new TextDecoder().decode(body)) as T;
}

function readWhole(fd: number, length: number): Uint8Array | undefined {
  const buffer = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = read(fd, buffer.subarray(filled));
    if (count === 0) return undefined;
    filled += count;
  }
  return buffer;
}

async function readWholeAsync(fd: number, length: number): Promise<Uint8Array | undefined> {
  const buffer = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const rest = buffer.subarray(filled);
    // The way to another thread and back takes longer than most reads.
    const [ready] = poll([{ fd, events: POLLIN }], 0);
    const count = await untilReset(() => ready === 0 ? readAsync(fd, rest) : read(fd, rest));
    if (count === 0) return undefined;
    filled += count;
  }
  return buffer;
}

/**
 * Reads, where an other end that is gone without having read everything is only gone: what it had sent
 * comes first, and then ECONNRESET in place of the end (unix_release_sock() in net/unix/af_unix.c).
 */
async function untilReset(read: () => number | Promise<number>): Promise<number> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ECONNRESET") return 0;
    throw error;
  }
}
