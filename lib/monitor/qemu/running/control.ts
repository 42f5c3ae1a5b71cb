import {
  AF_UNIX,
  close,
  LinuxError,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  pollAsync,
  POLLIN,
  recv,
  send,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../../../../ffi/linux.ts";
import { connectAt } from "../../../os/sockets.ts";
import { delay } from "../../../os/timer.ts";
import { describeExchange, qmpCommand, type QmpMessage, QmpReader } from "../qmp.ts";
import { debug, isWatched, since } from "../../../watch.ts";

/**
 * How long a conversation takes at most, whatever the monitor does. An honest one answers in a millisecond,
 * and in some hundred where it has 1 % of a processor; a stopped one never. Milliseconds.
 */
const CONVERSATION = 3000;

/** How soon to try again to be the one that is talked to. Milliseconds. */
const TURN = 20;

/** So much of what a monitor says of an error is of use. Characters. */
const LONGEST_DESCRIPTION = 200;

/** The monitor says that it does not do it. */
export class RefusedCommand extends Error {
  /** @param description the monitor's words */
  constructor(readonly description: string) {
    super(`the monitor refuses: ${description}`);
  }
}

/** The monitor has exited, or has closed its end of the connection. */
export class ClosedControl extends Error {
  constructor() {
    super("the monitor closed its control socket");
  }
}

function describedBy(error: unknown): string {
  const { desc } = (error ?? {}) as { desc?: unknown };
  return typeof desc === "string" ? desc.slice(0, LONGEST_DESCRIPTION) : "";
}

/**
 * A connection to a monitor, which may be hostile and send anything, or nothing. The kernel drops
 * descriptors that it sends, because they are not asked for.
 */
export class Control implements Disposable {
  /** When the conversation is to be over, on the clock of `performance.now()`. */
  readonly #deadline = performance.now() + CONVERSATION;
  readonly #fd: number;
  readonly #reader = new QmpReader();
  readonly #messages: QmpMessage[] = [];

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * @param controlSocket its path
   * @throws LinuxError, or Error when it does not speak QMP
   */
  static async connect(controlSocket: string): Promise<Control> {
    // Nonblocking: with a full backlog, connecting would wait (unix(7)).
    const control = new Control(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    try {
      await control.#reach(controlSocket);
      if (!("QMP" in await control.#next())) throw new Error("the monitor sends no greeting");
      await control.ask(qmpCommand("qmp_capabilities"));
      return control;
    } catch (error) {
      control[Symbol.dispose]();
      throw error;
    }
  }

  /** QEMU talks to one at a time, and lets one more wait, whatever the socket's backlog was. */
  async #reach(controlSocket: string): Promise<void> {
    for (;;) {
      try {
        return connectAt(this.#fd, controlSocket);
      } catch (error) {
        const isBusy = error instanceof LinuxError && error.code === "EAGAIN";
        if (!isBusy || performance.now() + TURN > this.#deadline) throw error;
        await delay(TURN);
      }
    }
  }

  /**
   * Sends a command and waits for its answer; events in between are dropped.
   *
   * @param command a line of QMP
   * @throws Error when the monitor refuses, exits, or sends something else or nothing
   */
  async ask(command: string): Promise<QmpMessage> {
    const bytes = new TextEncoder().encode(command);
    // A monitor that reads has room for a line: otherwise it has failed.
    if (send(this.#fd, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) !== bytes.length) {
      throw new Error("the monitor does not read");
    }
    const began = performance.now();
    for (;;) {
      const message = await this.#next();
      if (isWatched()) debug(`QMP: ${describeExchange(command, message)}`, { ms: since(began) });
      if ("return" in message) return message;
      if ("error" in message) throw new RefusedCommand(describedBy(message.error));
    }
  }

  async #next(): Promise<QmpMessage> {
    const buffer = new Uint8Array(4096);
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) return message;
      const left = this.#deadline - performance.now();
      if (left <= 0) throw new Error("the monitor does not answer");
      const [events] = await pollAsync([{ fd: this.#fd, events: POLLIN }], left);
      if (events === 0) continue;
      const count = recv(this.#fd, buffer, MSG_DONTWAIT);
      if (count === 0) throw new ClosedControl();
      this.#messages.push(...this.#reader.feed(buffer.subarray(0, count)));
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
