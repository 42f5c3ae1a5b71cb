import {
  EPOLLIN,
  EPOLLOUT,
  LinuxError,
  read,
  setNonblock,
  unlessItWaits,
  write,
} from "../../../ffi/linux.ts";
import type { Reactor } from "../daemon/reactor.ts";

/** As much as a pipe holds, pipe(7). Bytes. */
const BUFFER_BYTES = 65536;

/**
 * Copies a stream until its end. It reads only when everything before has been written, so that a
 * reader who does not read stops the writer, and memory is bounded.
 */
export class Pump {
  /** Settles when all was copied, or the reader is gone. Never rejects. */
  readonly ended: Promise<void>;
  /** Bytes copied: to see whether anything moves. */
  copied = 0;
  readonly #reactor: Reactor;
  readonly #from: number;
  readonly #to: number;
  /** What `from` waits for: itself, or, where it can always be read, `to`. */
  #source: { fd: number; events: number };
  /** Made for the first byte: most standard inputs never see one. */
  #buffer?: Uint8Array<ArrayBuffer>;
  #pending?: Uint8Array;
  #watched?: number;
  #end!: () => void;
  #isEnded = false;

  /**
   * One of the two can be waited for; the other may be a regular file, /dev/null and the like.
   *
   * @param from used by nothing else
   * @param to likewise, in the reactor
   * @throws LinuxError
   */
  constructor(reactor: Reactor, from: number, to: number) {
    this.#reactor = reactor;
    this.#from = from;
    this.#to = to;
    this.ended = new Promise((resolve) => this.#end = resolve);
    setNonblock(from, true);
    setNonblock(to, true);
    this.#source = { fd: from, events: EPOLLIN };
    try {
      this.#watchSource();
    } catch (error) {
      if (!(error instanceof LinuxError && error.code === "EPERM")) throw error;
      this.#watched = undefined;
      this.#source = { fd: to, events: EPOLLOUT };
      this.#watchSource();
    }
  }

  /** Stops at once; what was not copied is lost. */
  stop(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#watch(undefined, 0);
    this.#buffer = undefined;
    this.#end();
  }

  readonly #ready = (): void => {
    try {
      // A bounded turn: other descriptors wait, too.
      for (let turn = 0; turn < 16; turn++) {
        if (this.#pending === undefined && !this.#fill()) return;
        if (!this.#drain()) return;
      }
    } catch (error) {
      // The other side is gone, a disk is full, which a log must not survive, or a file cannot be used
      // any more. Either way: the reader is gone, or the input is at its end.
      if (!(error instanceof LinuxError)) throw error;
      this.stop();
    }
  };

  /** False when nothing can be read now. */
  #fill(): boolean {
    this.#buffer ??= new Uint8Array(BUFFER_BYTES);
    const count = unlessItWaits(() => read(this.#from, this.#buffer!));
    if (count === undefined) {
      this.#watchSource();
      return false;
    }
    if (count === 0) {
      this.stop();
      return false;
    }
    this.#pending = this.#buffer.subarray(0, count);
    return true;
  }

  /** False when the taker is full. */
  #drain(): boolean {
    while (this.#pending !== undefined) {
      const count = unlessItWaits(() => write(this.#to, this.#pending!));
      if (count === undefined) {
        this.#watch(this.#to, EPOLLOUT);
        return false;
      }
      this.copied += count;
      this.#pending = count < this.#pending.length ? this.#pending.subarray(count) : undefined;
    }
    this.#watchSource();
    return true;
  }

  #watchSource(): void {
    this.#watch(this.#source.fd, this.#source.events);
  }

  /** Only one of the two at a time: a hang-up of the other would be reported again and again. */
  #watch(fd: number | undefined, events: number): void {
    if (this.#watched === fd) return;
    if (this.#watched !== undefined) this.#reactor.remove(this.#watched);
    this.#watched = fd;
    if (fd !== undefined) this.#reactor.add(fd, events, this.#ready);
  }
}
