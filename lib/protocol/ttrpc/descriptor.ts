import {
  accept,
  close,
  EPOLLIN,
  EPOLLOUT,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  recv,
  send,
  setNonblock,
  unlessItWaits,
} from "../../../ffi/linux.ts";
import type { Connection, Listener } from "./transport.ts";

/** Waits for descriptors; `lib/shim/daemon/reactor.ts` is one. */
export interface ReadinessLoop {
  add(fd: number, events: number, handler: (events: number) => void): void;
  modify(fd: number, events: number): void;
  remove(fd: number): void;
}

/**
 * A socket that listens already: Deno cannot take one over, and what was there before this process
 * could listen may have published the address.
 *
 * @param fd a listening socket, which is the listener's from now on
 */
export function listenDescriptor(fd: number, loop: ReadinessLoop): Listener {
  // Another process that shares the socket may be faster.
  setNonblock(fd, true);
  const descriptor = new Descriptor(fd, loop);
  return {
    async accept() {
      for (;;) {
        // Before waiting: the first one came while this process booted.
        const connection = unlessItWaits(() => accept(descriptor.fd));
        if (connection !== undefined) {
          return new DescriptorConnection(new Descriptor(connection, loop));
        }
        await descriptor.ready(EPOLLIN);
      }
    },
    close: () => descriptor.close(),
  };
}

class DescriptorConnection implements Connection {
  readonly #descriptor: Descriptor;
  /** Whether the last read left room: then nothing more was there. A client that connects sends something. */
  #wasEmptied = false;

  constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#wasEmptied) await this.#descriptor.ready(EPOLLIN);
      const count = unlessItWaits(() => recv(this.#descriptor.fd, buffer, MSG_DONTWAIT));
      this.#wasEmptied = count === undefined || count < buffer.length;
      if (count !== undefined) return count === 0 ? null : count;
    }
  }

  async write(buffer: Uint8Array): Promise<number> {
    for (;;) {
      const count = unlessItWaits(() => {
        return send(this.#descriptor.fd, buffer, MSG_DONTWAIT | MSG_NOSIGNAL);
      });
      if (count !== undefined) return count;
      await this.#descriptor.ready(EPOLLOUT);
    }
  }

  close(): void {
    this.#descriptor.close();
  }
}

interface Waiter {
  events: number;
  resolve(): void;
  reject(error: Error): void;
}

/** A descriptor and its waiters. It is in the loop only while it has some. */
class Descriptor {
  readonly #fd: number;
  readonly #loop: ReadinessLoop;
  readonly #waiters = new Set<Waiter>();
  #isClosed = false;

  constructor(fd: number, loop: ReadinessLoop) {
    this.#fd = fd;
    this.#loop = loop;
  }

  /** @throws BadResource once it is closed: the number may be another file's by then */
  get fd(): number {
    if (this.#isClosed) throw new Deno.errors.BadResource("the socket is closed");
    return this.#fd;
  }

  /** @param events one of EPOLL* */
  ready(events: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const fd = this.fd;
      const isFirst = this.#waiters.size === 0;
      this.#waiters.add({ events, resolve, reject });
      if (isFirst) this.#loop.add(fd, events, (ready) => this.#wake(ready));
      else this.#loop.modify(fd, this.#wanted());
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#waiters.size > 0) this.#loop.remove(this.#fd);
    close(this.#fd);
    for (const { reject } of this.#waiters) {
      reject(new Deno.errors.BadResource("the socket is closed"));
    }
    this.#waiters.clear();
  }

  #wake(ready: number): void {
    for (const waiter of this.#waiters) {
      // Errors and hang-ups wake all: the next call returns which it is.
      if ((ready & waiter.events) === 0 && (ready & ~(EPOLLIN | EPOLLOUT)) === 0) continue;
      this.#waiters.delete(waiter);
      waiter.resolve();
    }
    if (this.#isClosed) return;
    if (this.#waiters.size === 0) this.#loop.remove(this.#fd);
    else this.#loop.modify(this.#fd, this.#wanted());
  }

  #wanted(): number {
    return Array.from(this.#waiters).reduce((events, waiter) => events | waiter.events, 0);
  }
}
