import {
  AF_UNIX,
  close,
  connectUnix,
  LinuxError,
  MSG_NOSIGNAL,
  poll,
  POLLIN,
  POLLOUT,
  recv,
  send,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
} from "../../../ffi/linux.ts";
import { HostError } from "../../errors.ts";
import {
  decodeMessage,
  encodeMessage,
  type Message,
  messageBytes,
  PREFIX_BYTES,
} from "./message.ts";

/** Longer lines are none that a server says while it authenticates. Bytes. */
const MAXIMUM_LINE = 1024;
/** More signals than anybody asked for are dropped, the oldest first. */
const MAXIMUM_SIGNALS = 64;
/** Between attempts to connect to a server that has too many callers waiting. Milliseconds. */
const BUSY_MILLISECONDS = 20;

/** The other side answered with an error. */
export class DBusError extends HostError {
  override name = "DBusError";
  /** Such as `org.freedesktop.systemd1.NoSuchUnit`. */
  readonly errorName: string;

  constructor(operation: string, answer: Message) {
    const [text] = answer.body;
    const errorName = answer.errorName ?? "an error without a name";
    super({ operation, reason: typeof text === "string" ? `${text} (${errorName})` : errorName });
    this.errorName = errorName;
  }
}

/** Not connected, or no longer connected: another attempt may succeed. */
export class DisconnectedError extends HostError {
  override name = "DisconnectedError";
}

/** A call, without what the connection adds to it. */
export type Call = Omit<Message, "kind" | "serial" | "flags" | "body"> & {
  flags?: number;
  body?: Message["body"];
};

/**
 * A connection to a D-Bus server, as the user of this process. Blocks the thread, never longer than
 * until the deadline (of `performance.now()`) that it was made with.
 *
 * Calls may be sent one after the other and their replies read later: the server keeps the order.
 */
export class Connection implements Disposable {
  readonly #fd: number;
  readonly #path: string;
  readonly #deadline: number;
  readonly #replies = new Map<number, Message>();
  readonly #signals: Message[] = [];
  #received: Uint8Array<ArrayBufferLike> = new Uint8Array(0);
  #serial = 0;

  /**
   * @param path of the server's socket
   * @param deadline milliseconds, as `performance.now()` counts
   * @throws DisconnectedError when nothing listens there; HostError when this user is refused
   */
  constructor(path: string, deadline: number) {
    this.#path = path;
    this.#deadline = deadline;
    this.#fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    try {
      this.#connect();
      this.#authenticate();
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }

  /**
   * Sends a call and does not wait.
   *
   * @returns its serial, for `reply`
   */
  send(call: Call): number {
    const serial = ++this.#serial;
    this.#write(encodeMessage({ body: [], flags: 0, ...call, kind: "call", serial }));
    return serial;
  }

  /**
   * Waits for a call's reply.
   *
   * @param operation what the call does, for an error
   * @throws DBusError when the answer is one; HostError when none comes in time
   */
  reply(serial: number, operation: string): Message {
    for (;;) {
      const reply = this.#replies.get(serial);
      if (reply !== undefined) {
        this.#replies.delete(serial);
        if (reply.kind === "error") throw new DBusError(operation, reply);
        return reply;
      }
      this.#receive(operation);
    }
  }

  /**
   * Waits for a signal, one that came since the connection was made included.
   *
   * @throws HostError when none comes in time
   */
  signal(wanted: (signal: Message) => boolean, operation: string): Message {
    for (;;) {
      const index = this.#signals.findIndex(wanted);
      const [signal] = index < 0 ? [] : this.#signals.splice(index, 1);
      if (signal !== undefined) return signal;
      this.#receive(operation);
    }
  }

  #connect(): void {
    for (;;) {
      try {
        return connectUnix(this.#fd, this.#path);
      } catch (error) {
        if (!(error instanceof LinuxError)) throw error;
        // Its backlog is full (unix(7)).
        if (error.code !== "EAGAIN") throw this.#disconnected(error.message, error);
        this.#requireTime("connect");
        poll([], BUSY_MILLISECONDS);
      }
    }
  }

  /** @see D-Bus specification, "Authentication Protocol": the kernel passes our credentials to the server */
  #authenticate(): void {
    const uid = new TextEncoder().encode(String(Deno.uid() ?? 0));
    this.#write(new TextEncoder().encode(`\0AUTH EXTERNAL ${uid.toHex()}\r\n`));
    const answer = this.#readLine();
    if (!answer.startsWith("OK ")) {
      throw new HostError({
        operation: "connect to D-Bus",
        subject: this.#path,
        reason: `it refuses this user: ${JSON.stringify(answer)}`,
      });
    }
    this.#write(new TextEncoder().encode("BEGIN\r\n"));
  }

  #readLine(): string {
    for (;;) {
      const end = this.#received.indexOf(0x0a);
      if (end >= 0) {
        const line = new TextDecoder().decode(this.#received.subarray(0, end));
        this.#received = this.#received.slice(end + 1);
        return line.trimEnd();
      }
      if (this.#received.length > MAXIMUM_LINE) {
        throw new HostError({
          operation: "connect to D-Bus",
          subject: this.#path,
          reason: "what answers there does not speak D-Bus",
        });
      }
      this.#fill("authenticate");
    }
  }

  /** Waits for one message and keeps it, if anybody will ask for it. */
  #receive(operation: string): void {
    while (this.#received.length < PREFIX_BYTES) this.#fill(operation);
    const length = messageBytes(this.#received);
    while (this.#received.length < length) this.#fill(operation);
    const message = decodeMessage(this.#received.slice(0, length));
    this.#received = this.#received.slice(length);

    if (message.kind === "signal") {
      this.#signals.push(message);
      if (this.#signals.length > MAXIMUM_SIGNALS) this.#signals.shift();
    } else if (message.kind === "return" || message.kind === "error") {
      const { replySerial } = message;
      if (replySerial !== undefined) this.#replies.set(replySerial, message);
    }
  }

  #fill(operation: string): void {
    const chunk = new Uint8Array(16 * 1024);
    const count = this.#whenReady(POLLIN, operation, () => recv(this.#fd, chunk, 0));
    if (count === 0) throw this.#disconnected("it closed the connection");
    const all = new Uint8Array(this.#received.length + count);
    all.set(this.#received);
    all.set(chunk.subarray(0, count), this.#received.length);
    this.#received = all;
  }

  #write(bytes: Uint8Array): void {
    for (let sent = 0; sent < bytes.length;) {
      sent += this.#whenReady(
        POLLOUT,
        "send a message",
        () => send(this.#fd, bytes.subarray(sent), MSG_NOSIGNAL),
      );
    }
  }

  #whenReady(events: number, operation: string, transfer: () => number): number {
    for (;;) {
      this.#requireTime(operation);
      poll([{ fd: this.#fd, events }], Math.max(0, this.#deadline - performance.now()));
      try {
        return transfer();
      } catch (error) {
        if (!(error instanceof LinuxError)) throw error;
        if (error.code !== "EAGAIN") throw this.#disconnected(error.message, error);
      }
    }
  }

  #requireTime(operation: string): void {
    if (performance.now() < this.#deadline) return;
    throw new HostError({ operation, subject: this.#path, reason: "no answer in time" });
  }

  #disconnected(reason: string, cause?: unknown): DisconnectedError {
    return new DisconnectedError({
      operation: "talk to D-Bus",
      subject: this.#path,
      reason,
      cause,
    });
  }
}
