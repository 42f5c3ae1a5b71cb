import { after, type Timer } from "../../os/timer.ts";
import type { Input } from "../protobuf/types.ts";
import { Request, Response } from "./messages.ts";
import {
  FLAG_REMOTE_CLOSED,
  type Frame,
  FrameReader,
  FrameType,
  FrameWriter,
  MAXIMUM_PAYLOAD,
} from "./frames.ts";
import { Code, RpcError } from "./status.ts";
import type { Connection } from "./transport.ts";
import { errorMessage } from "../../errors.ts";

/** Calls a server over one connection, which is made when it is needed, and made again when it broke. */
export class Client {
  readonly #connect: () => Promise<Connection>;
  #session?: Promise<Session>;

  /** @param connect for example `() => connectUnix(address)` */
  constructor(connect: () => Promise<Connection>) {
    this.#connect = connect;
  }

  /**
   * @param service its full name
   * @param payload the request's message
   * @param timeoutMs milliseconds to the answer; sent to the server as well
   * @returns the answer's message
   * @throws RpcError what the server answered, or Code.unavailable: no server, or it went away
   * before it answered; Code.deadlineExceeded
   */
  call(
    service: string,
    method: string,
    payload: Uint8Array,
    timeoutMs: number,
  ): Promise<Uint8Array> {
    const operation = `call ${service}/${method}`;
    const timeoutNano = BigInt(Math.ceil(timeoutMs * 1e6));
    return this.#call({ service, method, payload, timeoutNano }, timeoutMs, operation);
  }

  /** Calls under way fail; the next one connects again. */
  disconnect(): void {
    const session = this.#session;
    this.#session = undefined;
    session?.then((it) => it.end("the client disconnected"), () => {});
  }

  async #call(
    request: Input<Request>,
    timeoutMs: number,
    operation: string,
  ): Promise<Uint8Array> {
    const message = Request.encode(request);
    if (message.length > MAXIMUM_PAYLOAD) {
      throw new RpcError(Code.resourceExhausted, "the request is too large", operation);
    }
    let session;
    try {
      session = await (this.#session ??= this.#open());
    } catch (error) {
      throw new RpcError(Code.unavailable, `cannot connect: ${error}`, operation);
    }
    return session.call(message, timeoutMs, operation);
  }

  #open(): Promise<Session> {
    const forget = () => {
      if (this.#session === opening) this.#session = undefined;
    };
    const opening: Promise<Session> = this.#connect().then((it) => new Session(it, forget));
    opening.catch(forget);
    return opening;
  }
}

interface PendingCall {
  resolve(payload: Uint8Array): void;
  fail(code: number, reason: string): void;
}

/** One connection, from its beginning to its end. */
class Session {
  readonly #connection: Connection;
  readonly #writer: FrameWriter;
  readonly #calls = new Map<number, PendingCall>();
  readonly #onEnd: () => void;
  #nextStream = 1;
  #endReason?: string;

  constructor(connection: Connection, onEnd: () => void) {
    this.#connection = connection;
    this.#writer = new FrameWriter(connection);
    this.#onEnd = onEnd;
    void this.#read();
  }

  async call(message: Uint8Array, timeoutMs: number, operation: string): Promise<Uint8Array> {
    const streamId = this.#nextStream;
    let timer: Timer | undefined;
    try {
      return await new Promise((resolve, reject) => {
        const fail = (code: number, reason: string) => {
          reject(new RpcError(code, reason, operation));
        };
        if (this.#endReason !== undefined) return fail(Code.unavailable, this.#endReason);
        timer = after(timeoutMs, () => fail(Code.deadlineExceeded, "no answer in time"));
        this.#calls.set(streamId, { resolve, fail });
        this.#writer.send(streamId, FrameType.request, FLAG_REMOTE_CLOSED, message).catch(
          (error) => this.end(`the connection broke: ${error}`),
        );
        this.#nextStream += 2;
        // Numbers are not used twice: the next call makes a new session.
        if (this.#nextStream > 0xffff_ffff) this.#onEnd();
      });
    } finally {
      timer?.cancel();
      this.#calls.delete(streamId);
    }
  }

  end(reason: string): void {
    if (this.#endReason !== undefined) return;
    this.#endReason = reason;
    this.#onEnd();
    this.#connection.close();
    for (const { fail } of this.#calls.values()) fail(Code.unavailable, reason);
  }

  async #read(): Promise<void> {
    try {
      const reader = new FrameReader(this.#connection);
      for (let frame; (frame = await reader.next()) !== undefined;) this.#handle(frame);
      this.end("the server closed the connection");
    } catch (error) {
      this.end(`the connection broke: ${errorMessage(error)}`);
    }
  }

  /** @throws an error when what comes cannot be an answer */
  #handle(frame: Frame): void {
    if (frame.type !== FrameType.response) throw new Error(`a frame of type ${frame.type}`);
    const call = this.#calls.get(frame.streamId);
    // No longer awaited.
    if (call === undefined) return;
    if (frame.isTooLarge) return call.fail(Code.resourceExhausted, "the answer is too large");
    const { status, payload } = Response.decode(frame.payload);
    if (status === undefined || status.code === Code.ok) call.resolve(payload);
    else call.fail(status.code, status.message);
  }
}
