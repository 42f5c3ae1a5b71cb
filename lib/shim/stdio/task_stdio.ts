import { close, dupAbove, setTerminalSize } from "../../../ffi/linux.ts";
import type { Stdio } from "../../launch/stdio.ts";
import type { Reactor } from "../daemon/reactor.ts";
import { endsWithin } from "./ends_within.ts";
import type { Logger, LoggerServices } from "./logger.ts";
import { Pump } from "./pump.ts";
import {
  awaitReaders,
  copyingPipe,
  isCopied,
  isLoggingProgram,
  openInput,
  openOutput,
  type TaskIo,
} from "./streams.ts";

/** How long a taker of the output may take nothing after the container ended, before it is given up. */
const STALLED_MILLISECONDS = 2000;

/**
 * Opens a container's standard files, and starts the program that logs its output if it has one.
 *
 * @param id of the container, or of the process added to it
 * @returns to be closed by the caller
 * @throws HostError, UnsupportedError
 */
export async function openStdio(
  services: LoggerServices,
  id: string,
  io: TaskIo,
): Promise<TaskStdio> {
  if (!isLoggingProgram(io.stdout)) {
    const held = await awaitReaders([...new Set([io.stdout, io.stderr])]);
    try {
      return new TaskStdio(services.reactor, io);
    } finally {
      held.forEach(close);
    }
  }
  const { Logger } = await import("./logger.ts");
  const logger = await Logger.start(io.stdout, id, services);
  return new TaskStdio(services.reactor, io, logger);
}

/**
 * A container's standard files.
 *
 * Fifos are passed to the monitor itself: no byte is copied, a slow reader stops the guest, and
 * one that is gone does so until it is back, since the shim keeps the fifos' other ends. A terminal's
 * master stays with the shim, which copies; so does a log file.
 */
export class TaskStdio {
  readonly io: TaskIo;
  readonly #reactor: Reactor;
  /** Every descriptor of this object, so that none is closed twice: its number may be another's. */
  readonly #open = new Set<number>();
  /** What the container gets, or its terminal is copied to and from. */
  readonly #ends: Stdio;
  readonly #pumps: Pump[] = [];
  #inputKeeper?: number;
  #inputPump?: Pump;
  #terminal?: number;
  readonly #logger?: Logger;

  /**
   * Opens everything; `close` closes it.
   *
   * @param logger receives standard output and standard error, whatever the request says of the latter; closed with the
   *   rest, also when this fails
   * @throws HostError, UnsupportedError
   */
  constructor(reactor: Reactor, io: TaskIo, logger?: Logger) {
    this.io = io;
    this.#reactor = reactor;
    this.#logger = logger;
    try {
      if (logger !== undefined) this.#own(logger.stdout, logger.stderr);
      const input = openInput(io.stdin);
      this.#own(input.reader, input.keeper);
      this.#inputKeeper = input.keeper;
      if (logger !== undefined) {
        this.#ends = [input.reader, logger.stdout, logger.stderr];
        // A terminal has one output only.
        if (io.terminal) this.#close(logger.stderr);
        return;
      }
      const stdout = this.#openOutput(io.stdout);
      const same = io.terminal || (io.stdout === io.stderr && io.stdout !== "");
      this.#ends = [input.reader, stdout, same ? stdout : this.#openOutput(io.stderr)];
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** What the container's init gets; without meaning for a terminal. */
  get stdio(): Stdio {
    return this.#ends;
  }

  /** The container has its files: the shim's copies are closed, or readers would never see end of file. */
  given(): void {
    if (!this.io.terminal) this.#ends.forEach((fd) => this.#close(fd));
  }

  /**
   * Joins the container's terminal with the files.
   *
   * @param master of it; closed with the rest
   */
  attachTerminal(master: number): void {
    const [stdin, stdout] = this.#ends;
    this.#own(master);
    this.#terminal = master;
    this.#copyOutput(master, stdout);
    if (this.io.stdin === "") return;
    // Both may have to wait for the terminal, and the reactor knows a descriptor once.
    const writer = dupAbove(master, 0);
    this.#own(writer);
    // A terminal's input has no end: with the file's only the copying ends.
    this.#inputPump = new Pump(this.#reactor, stdin, writer);
  }

  /** Sets the size of the terminal in characters; does nothing without one. */
  resize(columns: number, rows: number): void {
    if (this.#terminal !== undefined) setTerminalSize(this.#terminal, { rows, columns });
  }

  /** The input ends when its other writers are done, too. */
  closeInput(): void {
    this.#close(this.#inputKeeper);
  }

  /** Waits until the output of a container that has ended is copied, as long as anything moves. */
  async drain(): Promise<void> {
    this.#inputPump?.stop();
    for (const pump of this.#pumps) {
      for (let before = -1; before !== pump.copied;) {
        before = pump.copied;
        if (await endsWithin(pump.ended, STALLED_MILLISECONDS)) break;
      }
    }
    await this.#logger?.finish();
  }

  /** Closes what is open. May be called twice. */
  close(): void {
    this.#inputPump?.stop();
    this.#pumps.forEach((pump) => pump.stop());
    for (const fd of [...this.#open]) this.#close(fd);
    this.#logger?.close();
    this.#terminal = undefined;
  }

  /** Returns what a container writes to. */
  #openOutput(target: string): number {
    const output = openOutput(target);
    this.#own(output.writer, output.keeper);
    if (this.io.terminal || !isCopied(output)) return output.writer;
    const pipe = copyingPipe();
    this.#own(pipe.reader, pipe.writer);
    this.#copyOutput(pipe.reader, output.writer);
    return pipe.writer;
  }

  #copyOutput(from: number, to: number): void {
    const pump = new Pump(this.#reactor, from, to);
    this.#pumps.push(pump);
    // Its reader sees end of file then.
    void pump.ended.then(() => this.#close(to));
  }

  #own(...fds: (number | undefined)[]): void {
    for (const fd of fds) if (fd !== undefined) this.#open.add(fd);
  }

  #close(fd: number | undefined): void {
    if (fd !== undefined && this.#open.delete(fd)) close(fd);
  }
}
