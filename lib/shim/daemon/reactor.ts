import {
  epollAdd,
  epollCreate,
  EPOLLIN,
  epollModify,
  epollRemove,
  epollWaitAsync,
  LinuxError,
} from "../../../ffi/linux.ts";

/** Receives EPOLL* events; may be called for one that is no longer current. */
export type ReadyHandler = (events: number) => void;

/**
 * Waits for all descriptors of a process, in one thread whatever their number, and calls the handlers that
 * know. Handlers run on the main thread, one after the other, and must not block.
 *
 * Events are level-triggered: a handler consumes what it waited for, or removes
 * its descriptor (EPOLLHUP and EPOLLERR come even when they are not asked for). The descriptor of one that
 * throws is removed: the others keep working.
 */
export class Reactor {
  readonly #epoll = epollCreate();
  readonly #handlers = new Map<number, ReadyHandler>();
  readonly #failed: (error: unknown) => void;
  #isRunning = false;

  /** @param failed receives what a handler threw; without it that ends the process */
  constructor(failed: (error: unknown) => void = rethrow) {
    this.#failed = failed;
  }

  /**
   * @param fd which is not in yet
   * @param events EPOLL*
   * @throws LinuxError EPERM: a regular file
   */
  add(fd: number, events: number, handler: ReadyHandler): void {
    epollAdd(this.#epoll, fd, events);
    this.#handlers.set(fd, handler);
    if (!this.#isRunning) void this.#run();
  }

  /** Changes the events to wait for. */
  modify(fd: number, events: number): void {
    epollModify(this.#epoll, fd, events);
  }

  /** To be called before the descriptor is closed. Does nothing for one that was removed. */
  remove(fd: number): void {
    if (this.#handlers.delete(fd)) epollRemove(this.#epoll, fd);
  }

  /**
   * Returns when there is something to read, or the end of it. It takes no thread, however long that takes.
   *
   * @param fd which is not in yet, and is not in afterwards
   * @throws LinuxError EPERM: a regular file
   */
  readable(fd: number): Promise<void> {
    return new Promise((resolve) =>
      this.add(fd, EPOLLIN, () => {
        this.remove(fd);
        resolve();
      })
    );
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    // One wait may end without anything to do after the last descriptor was removed; until the next is
    // added nothing keeps the process from ending but what else it waits for.
    while (this.#handlers.size > 0) {
      for (const { fd, events } of await epollWaitAsync(this.#epoll, -1)) {
        this.#dispatch(fd, events);
      }
    }
    this.#isRunning = false;
  }

  #dispatch(fd: number, events: number): void {
    try {
      this.#handlers.get(fd)?.(events);
    } catch (error) {
      this.#failed(error);
      this.#drop(fd);
    }
  }

  /** It would be reported again and again. */
  #drop(fd: number): void {
    try {
      this.remove(fd);
    } catch (error) {
      // The handler may have closed it before it threw.
      if (!(error instanceof LinuxError)) throw error;
    }
  }
}

function rethrow(error: unknown): never {
  throw error;
}
