import {
  accept,
  close,
  EPOLLIN,
  EPOLLOUT,
  LinuxError,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  recv,
  send,
  setNonblock,
} from "../../ffi/linux.ts";
import type { Reactor } from "./reactor.ts";
import type { Connection, Listener } from "./ttrpc/transport.ts";

/** A listening socket that this process was started with; Deno knows only those that it makes. */
export class DescriptorListener implements Listener {
  readonly #reactor: Reactor;
  readonly #fd: number;
  #isClosed = false;
  #cancel?: (error: Error) => void;

  /** @param fd is the listener's from now on */
  constructor(reactor: Reactor, fd: number) {
    this.#reactor = reactor;
    this.#fd = fd;
    setNonblock(fd, true);
  }

  async accept(): Promise<Connection> {
    for (;;) {
      if (this.#isClosed) throw closed();
      const fd = unlessWaiting(() => accept(this.#fd));
      if (fd !== undefined) return new DescriptorConnection(this.#reactor, fd);
      await new Promise<void>((resolve, reject) => {
        this.#cancel = reject;
        this.#reactor.add(this.#fd, EPOLLIN, () => {
          this.#reactor.remove(this.#fd);
          this.#cancel = undefined;
          resolve();
        });
      });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#cancel !== undefined) this.#reactor.remove(this.#fd);
    close(this.#fd);
    this.#cancel?.(closed());
  }
}

type Wakers = Partial<Record<"read" | "write", { resolve(): void; reject(error: Error): void }>>;

/** One connection of such a listener. */
class DescriptorConnection implements Connection {
  readonly #reactor: Reactor;
  readonly #fd: number;
  readonly #wakers: Wakers = {};
  #isWatched = false;
  #isClosed = false;

  constructor(reactor: Reactor, fd: number) {
    this.#reactor = reactor;
    this.#fd = fd;
  }

  async read(buffer: Uint8Array): Promise<number | null> {
    const count = await this.#retried("read", () => recv(this.#fd, buffer, MSG_DONTWAIT));
    return count === 0 ? null : count;
  }

  write(buffer: Uint8Array): Promise<number> {
    return this.#retried("write", () => send(this.#fd, buffer, MSG_DONTWAIT | MSG_NOSIGNAL));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#isWatched) this.#reactor.remove(this.#fd);
    close(this.#fd);
    for (const waker of Object.values(this.#wakers)) waker.reject(closed());
  }

  async #retried(direction: "read" | "write", call: () => number): Promise<number> {
    for (;;) {
      if (this.#isClosed) throw closed();
      const count = unlessWaiting(call);
      if (count !== undefined) return count;
      await new Promise<void>((resolve, reject) => {
        this.#wakers[direction] = { resolve, reject };
        this.#watch();
      });
    }
  }

  /** For those who wait, and not at all when nobody does: a hang-up would be told again and again. */
  #watch(): void {
    const events = (this.#wakers.read ? EPOLLIN : 0) | (this.#wakers.write ? EPOLLOUT : 0);
    if (events === 0) {
      if (this.#isWatched) this.#reactor.remove(this.#fd);
      this.#isWatched = false;
    } else if (this.#isWatched) {
      this.#reactor.modify(this.#fd, events);
    } else {
      this.#isWatched = true;
      this.#reactor.add(this.#fd, events, this.#ready);
    }
  }

  readonly #ready = (events: number): void => {
    const other = events & ~(EPOLLIN | EPOLLOUT);
    for (const [direction, event] of [["read", EPOLLIN], ["write", EPOLLOUT]] as const) {
      if ((events & event) === 0 && other === 0) continue;
      this.#wakers[direction]?.resolve();
      delete this.#wakers[direction];
    }
    this.#watch();
  };
}

/** Undefined when the call would have had to wait. */
function unlessWaiting(call: () => number): number | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof LinuxError)) throw error;
    if (error.code === "EAGAIN" || error.code === "ECONNABORTED") return undefined;
    // As Deno's own connections say it.
    if (error.code === "EPIPE") throw new Deno.errors.BrokenPipe(error.message);
    if (error.code === "ECONNRESET") throw new Deno.errors.ConnectionReset(error.message);
    throw error;
  }
}

function closed(): Error {
  return new Deno.errors.BadResource("the socket was closed");
}
