import { O_NONBLOCK, O_RDWR, open, write } from "../../../ffi/linux.ts";
import { readableStack } from "../../os/stack.ts";
import { formatLine, type LogFields } from "../../log.ts";
import { formatError } from "../../errors.ts";

type Level = Parameters<typeof formatLine>[1];

/**
 * A shim's log: the fifo `log` in its working directory, whose lines containerd adds to its own. A line
 * that is not read is dropped.
 */
export class ShimLog {
  readonly #debug: boolean;
  readonly #fd: number | undefined;

  /**
   * @param path of the fifo; without one nothing is logged
   * @param debug also log what is only done
   */
  constructor(path: string, debug: boolean) {
    this.#debug = debug;
    try {
      // Both ends: it can be opened without a reader, and writing never ends this process.
      this.#fd = open(path, O_RDWR | O_NONBLOCK);
    } catch {
      // Not called by containerd.
    }
  }

  debug(message: string, fields?: LogFields): void {
    if (this.#debug) this.#write("debug", message, fields);
  }

  info(message: string): void {
    this.#write("info", message);
  }

  warning(message: string): void {
    this.#write("warning", message);
  }

  /** @param what was done when it happened */
  error(what: string, error: unknown): void {
    this.#write("error", `${what}: ${formatError(error)}`);
    if (error instanceof Error && error.stack !== undefined) this.debug(readableStack(error.stack));
  }

  #write(level: Level, message: string, fields?: LogFields): void {
    if (this.#fd === undefined) return;
    const line = formatLine("text", level, message, new Date(), fields);
    try {
      write(this.#fd, new TextEncoder().encode(line));
    } catch {
      // Full: it is not read.
    }
  }
}
