import { close, O_CLOEXEC, O_PATH, open } from "../../ffi/linux.ts";

/**
 * As many descriptors as the undoing of a container's creation uses at the same time: pidfds, two network
 * namespaces, a netlink socket, and a file that is read.
 */
const COUNT = 8;

/** Descriptors that are kept free: a process that has run out of them could not undo what it has made. */
export class DescriptorReserve implements Disposable {
  readonly #fds: number[] = [];

  /** @throws LinuxError EMFILE when there are not so many; none is kept then */
  constructor() {
    try {
      for (let count = 0; count < COUNT; count++) this.#fds.push(open("/", O_PATH | O_CLOEXEC));
    } catch (error) {
      this.release();
      throw error;
    }
  }

  /** Now they can be used. Releasing twice is not an error. */
  release(): void {
    this.#fds.splice(0).forEach(close);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
