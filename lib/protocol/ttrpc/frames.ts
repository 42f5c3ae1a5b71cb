import type { Connection } from "./transport.ts";

/**
 * ttrpc's frames: a length (32 bits), a stream (32 bits), a type and flags (8 bits each), all big
 * endian, then as many bytes as the length says.
 *
 * @see github.com/containerd/ttrpc, PROTOCOL.md
 * @module
 */

const HEADER_SIZE = 10;

/** What ttrpc allows after the header. */
export const MAXIMUM_PAYLOAD = 4 * 1024 * 1024;

export const FrameType = { request: 1, response: 2, data: 3 } as const;

/** Of a request and of a response that are alone on their stream: no more comes from this side. */
export const FLAG_REMOTE_CLOSED = 1;

export interface Frame {
  streamId: number;
  type: number;
  flags: number;
  /** Empty when it was too large. */
  payload: Uint8Array;
  isTooLarge: boolean;
}

/** Ordinary requests fit in; no more is kept while a connection is idle. */
const IDLE_BUFFER = 4096;

/** Takes frames from a stream of bytes. */
export class FrameReader {
  readonly #connection: Connection;
  #buffer = new Uint8Array(IDLE_BUFFER);
  #start = 0;
  #end = 0;
  /** What is left to come of a frame that is too large. */
  #toSkip = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * A frame that is too large is reported at once; its bytes are discarded as they come.
   *
   * @returns undefined at end of file, also when a frame was cut off
   */
  async next(): Promise<Frame | undefined> {
    if (this.#toSkip > 0 && !await this.#skip()) return undefined;
    if (!await this.#fill(HEADER_SIZE)) return undefined;
    const view = new DataView(this.#buffer.buffer, this.#start, HEADER_SIZE);
    const size = view.getUint32(0);
    const header = {
      streamId: view.getUint32(4),
      type: view.getUint8(8),
      flags: view.getUint8(9),
    };
    this.#start += HEADER_SIZE;
    if (size > MAXIMUM_PAYLOAD) {
      this.#toSkip = size;
      return { ...header, payload: new Uint8Array(), isTooLarge: true };
    }
    if (!await this.#fill(size)) return undefined;
    // A copy: who gets it may keep it.
    const payload = this.#buffer.slice(this.#start, this.#start + size);
    this.#start += size;
    this.#shrink();
    return { ...header, payload, isTooLarge: false };
  }

  async #skip(): Promise<boolean> {
    while (this.#toSkip > 0) {
      if (!await this.#fill(1)) return false;
      const size = Math.min(this.#toSkip, this.#end - this.#start);
      this.#start += size;
      this.#toSkip -= size;
    }
    return true;
  }

  /** Reads until there are so many bytes. */
  async #fill(size: number): Promise<boolean> {
    while (this.#end - this.#start < size) {
      this.#makeRoom(size);
      const count = await this.#connection.read(this.#buffer.subarray(this.#end));
      if (count === null) return false;
      this.#end += count;
    }
    return true;
  }

  /** The buffer grows with what has come, not with what a header announces. */
  #makeRoom(size: number): void {
    const { length } = this.#buffer;
    if (this.#end < length && this.#start + size <= length) return;
    const held = this.#buffer.subarray(this.#start, this.#end);
    if (held.length === length) {
      this.#buffer = new Uint8Array(Math.min(length * 2, Math.max(size, IDLE_BUFFER)));
    }
    if (this.#buffer.length > length) this.#buffer.set(held);
    else this.#buffer.copyWithin(0, this.#start, this.#end);
    this.#start = 0;
    this.#end = held.length;
  }

  #shrink(): void {
    if (this.#buffer.length > IDLE_BUFFER && this.#end - this.#start <= IDLE_BUFFER) {
      const held = this.#buffer.subarray(this.#start, this.#end);
      this.#buffer = new Uint8Array(IDLE_BUFFER);
      this.#buffer.set(held);
      this.#start = 0;
      this.#end = held.length;
    }
  }
}

/** Puts frames on a stream of bytes, one after the other. */
export class FrameWriter {
  readonly #connection: Connection;
  #last: Promise<void> = Promise.resolve();
  #pending = 0;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Bytes that are not written yet. */
  get pending(): number {
    return this.#pending;
  }

  /** Resolves, or rejects, when all frames so far are written. */
  drained(): Promise<void> {
    return this.#last;
  }

  /**
   * @param payload at most MAXIMUM_PAYLOAD bytes
   * @returns when it is written; rejects when it, or one before it, could not be
   */
  send(streamId: number, type: number, flags: number, payload: Uint8Array): Promise<void> {
    const frame = new Uint8Array(HEADER_SIZE + payload.length);
    const view = new DataView(frame.buffer);
    view.setUint32(0, payload.length);
    view.setUint32(4, streamId);
    view.setUint8(8, type);
    view.setUint8(9, flags);
    frame.set(payload, HEADER_SIZE);
    this.#pending += frame.length;
    this.#last = this.#last.then(() => this.#write(frame));
    // Its sender gets the error; that the last one is not awaited is not another error.
    this.#last.catch(() => {});
    return this.#last;
  }

  async #write(frame: Uint8Array): Promise<void> {
    for (let at = 0; at < frame.length;) {
      at += await this.#connection.write(frame.subarray(at));
    }
    this.#pending -= frame.length;
  }
}
