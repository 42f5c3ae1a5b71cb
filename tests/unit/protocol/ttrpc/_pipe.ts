import type { Connection, Listener } from "../../../../lib/protocol/ttrpc/transport.ts";

/** So many bytes are on their way before a write waits, as with a socket's buffer. */
const CAPACITY = 65_536;

/** One direction of a connection in memory. */
class Channel {
  #chunks: Uint8Array[] = [];
  #size = 0;
  #isClosed = false;
  #waiting: (() => void)[] = [];

  async read(buffer: Uint8Array): Promise<number | null> {
    while (this.#chunks.length === 0) {
      if (this.#isClosed) return null;
      await this.#changed();
    }
    const [chunk] = this.#chunks;
    const count = Math.min(chunk!.length, buffer.length);
    buffer.set(chunk!.subarray(0, count));
    if (count < chunk!.length) this.#chunks[0] = chunk!.subarray(count);
    else this.#chunks.shift();
    this.#size -= count;
    this.#wake();
    return count;
  }

  async write(buffer: Uint8Array): Promise<number> {
    while (this.#size >= CAPACITY && !this.#isClosed) await this.#changed();
    if (this.#isClosed) throw new Deno.errors.BrokenPipe("closed");
    const chunk = buffer.slice(0, CAPACITY - this.#size);
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#size += chunk.length;
    this.#wake();
    return chunk.length;
  }

  /** What was written is still read. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  #changed(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The end of a connection in memory. */
export interface PipeEnd extends Connection {
  /** Ends this direction; what comes can still be read. */
  closeWrite(): void;
}

/** @returns both ends of a connection */
export function pipe(): [PipeEnd, PipeEnd] {
  const [there, back] = [new Channel(), new Channel()];
  const end = (incoming: Channel, outgoing: Channel): PipeEnd => ({
    read: (buffer) => incoming.read(buffer),
    write: (buffer) => outgoing.write(buffer),
    closeWrite: () => outgoing.close(),
    close() {
      incoming.close();
      outgoing.close();
    },
  });
  return [end(back, there), end(there, back)];
}

/** A listener in memory. */
export class PipeListener implements Listener {
  #arrived: PipeEnd[] = [];
  #accepting?: { resolve(end: PipeEnd): void; reject(error: Error): void };
  #isClosed = false;

  connect(): PipeEnd {
    if (this.#isClosed) throw new Deno.errors.ConnectionRefused("nobody listens");
    const [client, server] = pipe();
    if (this.#accepting !== undefined) this.#accepting.resolve(server);
    else this.#arrived.push(server);
    this.#accepting = undefined;
    return client;
  }

  accept(): Promise<PipeEnd> {
    const arrived = this.#arrived.shift();
    if (arrived !== undefined) return Promise.resolve(arrived);
    return new Promise((resolve, reject) => this.#accepting = { resolve, reject });
  }

  close(): void {
    this.#isClosed = true;
    this.#accepting?.reject(new Deno.errors.BadResource("closed"));
  }
}

/** Writes all of it. */
export async function writeAll(connection: Connection, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** A frame as it is on the wire. */
export function frame(
  streamId: number,
  type: number,
  flags: number,
  payload: Uint8Array,
  size = payload.length,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(10 + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size);
  view.setUint32(4, streamId);
  view.setUint8(8, type);
  view.setUint8(9, flags);
  bytes.set(payload, 10);
  return bytes;
}
