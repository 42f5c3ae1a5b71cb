import { close, receiveDescriptor, SOCK_STREAM, socketpair } from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";

/** Longer than what the master is called in the message that carries it. Bytes. */
const NAME_SIZE = 64;

/** A pair of sockets over which init sends its terminal's master to the creator. */
export class TerminalTaker implements Disposable {
  /** For init, as `terminal` of CreatorFds. */
  readonly theirs: number;
  readonly #ours: number;

  /** Throws LinuxError. */
  constructor() {
    [this.#ours, this.theirs] = socketpair(SOCK_STREAM);
  }

  /**
   * The master, once init is at the barrier: it was sent before.
   *
   * @throws HostError when none was sent
   */
  take(): number {
    const { descriptor } = receiveDescriptor(this.#ours, new Uint8Array(NAME_SIZE), 0);
    if (descriptor !== undefined) return descriptor;
    throw new HostError({
      operation: "take the terminal",
      reason: "init sent none",
      remedy: "this is a defect of urunc: the container was not kept",
    });
  }

  [Symbol.dispose](): void {
    close(this.#ours);
    close(this.theirs);
  }
}
