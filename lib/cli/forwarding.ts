import { close, LinuxError, pidfdOpen, pidfdSendSignal } from "../../ffi/linux.ts";
import { parseSignal } from "../monitor/signals.ts";

/**
 * Passes signals on to a child. When that was waited for its number may be another process's, which gets none:
 * a signal is for the caller then, that still waits for output.
 */
export class Forwarding implements Disposable {
  /** Settles with the first signal that comes after the child was waited for. */
  readonly late: Promise<void>;
  readonly #pidfd: number;
  readonly #listeners: { name: Deno.Signal; listener: () => void }[];
  #isLate!: () => void;

  /**
   * @param pid of a child that was not waited for yet
   * @throws LinuxError
   */
  constructor(pid: number, names: Deno.Signal[]) {
    this.late = new Promise((resolve) => this.#isLate = resolve);
    this.#pidfd = pidfdOpen(pid);
    this.#listeners = names.map((name) => ({ name, listener: () => this.#forward(name) }));
    this.#listeners.forEach(({ name, listener }) => Deno.addSignalListener(name, listener));
  }

  #forward(name: Deno.Signal): void {
    try {
      pidfdSendSignal(this.#pidfd, parseSignal(name));
    } catch (error) {
      if (!(error instanceof LinuxError && error.code === "ESRCH")) throw error;
      this.#isLate();
    }
  }

  /** Signals have their usual effect again. */
  [Symbol.dispose](): void {
    this.#listeners.forEach(({ name, listener }) => Deno.removeSignalListener(name, listener));
    close(this.#pidfd);
  }
}
