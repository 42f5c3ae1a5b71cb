import { after, delay, type Timer } from "../../os/timer.ts";
import { MalformedMessageError } from "../protobuf/error.ts";
import type { Input } from "../protobuf/types.ts";
import { Request, Response } from "./messages.ts";
import { type Frame, FrameReader, FrameType, FrameWriter, MAXIMUM_PAYLOAD } from "./frames.ts";
import type { Handler, RequestContext, Services } from "./services.ts";
import { Code, RpcError, statusOf } from "./status.ts";
import type { Connection } from "./transport.ts";

/** Requests of one connection at once. containerd has one waiting for each task, and few others. */
const MAXIMUM_REQUESTS = 4096;

/** Bytes of their payloads together: four of the largest. */
const MAXIMUM_REQUEST_BYTES = 4 * MAXIMUM_PAYLOAD;

/** A caller that does not take its answers is not read from while so many bytes wait for it. */
const MAXIMUM_PENDING_BYTES = MAXIMUM_PAYLOAD;

/** One caller's connection. */
export class ServerConnection {
  readonly #connection: Connection;
  readonly #services: Services;
  readonly #log: (text: string) => void;
  readonly #reader: FrameReader;
  readonly #writer: FrameWriter;
  readonly #calls = new Set<Call>();
  #requestBytes = 0;
  #lastStream = 0;
  #isClosing = false;
  #isClosed = false;

  constructor(connection: Connection, services: Services, log: (text: string) => void) {
    this.#connection = connection;
    this.#services = services;
    this.#log = log;
    this.#reader = new FrameReader(connection);
    this.#writer = new FrameWriter(connection);
  }

  /** Serves until the connection is closed by either side. Does not reject. */
  async run(): Promise<void> {
    try {
      for (;;) {
        if (this.#writer.pending > MAXIMUM_PENDING_BYTES) await this.#writer.drained();
        const frame = await this.#reader.next();
        if (frame === undefined) break;
        this.#handle(frame);
      }
    } catch (error) {
      if (!this.#isClosed && !isDisconnection(error)) this.#log(`ttrpc connection: ${error}`);
    } finally {
      this.#end();
    }
  }

  /** @see Server.close */
  async close(graceMs: number): Promise<void> {
    this.#isClosing = true;
    for (const call of this.#calls) call.abort("the server ends");
    await Promise.race([this.#writer.drained().catch(() => {}), delay(graceMs)]);
    this.#end();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
    for (const call of this.#calls) call.abort("the connection is closed");
  }

  /** @throws RpcError when what comes cannot be ttrpc; where the next frame begins is unknown then */
  #handle(frame: Frame): void {
    if (frame.type !== FrameType.request && frame.type !== FrameType.data) {
      throw new RpcError(Code.invalidArgument, `a frame of type ${frame.type}`);
    }
    const refuse = (code: number, message: string) => {
      this.#answer(frame.streamId, { status: { code, message } });
    };
    // The order and the texts are those of the reference implementation (server.go).
    if (frame.isTooLarge) {
      return refuse(Code.resourceExhausted, `message exceeds ${MAXIMUM_PAYLOAD} bytes`);
    }
    if (frame.streamId % 2 !== 1) {
      return refuse(Code.invalidArgument, "StreamID must be odd for client initiated streams");
    }
    if (frame.type === FrameType.data) {
      return refuse(Code.invalidArgument, "StreamID is no longer active");
    }
    if (frame.streamId <= this.#lastStream) {
      return refuse(Code.invalidArgument, "StreamID cannot be re-used and must increment");
    }
    this.#lastStream = frame.streamId;
    if (this.#isClosing) return refuse(Code.unavailable, "the server ends");

    let request: Request;
    try {
      request = Request.decode(frame.payload);
    } catch (error) {
      if (!(error instanceof MalformedMessageError)) throw error;
      return refuse(Code.invalidArgument, `unmarshal request error: ${error.message}`);
    }
    const methods = ownValue(this.#services, request.service);
    if (methods === undefined) {
      return refuse(Code.unimplemented, `service ${clip(request.service)}`);
    }
    const handler = ownValue(methods, request.method);
    if (handler === undefined) return refuse(Code.unimplemented, `method ${clip(request.method)}`);
    if (
      this.#calls.size >= MAXIMUM_REQUESTS ||
      this.#requestBytes + request.payload.length > MAXIMUM_REQUEST_BYTES
    ) {
      return refuse(Code.resourceExhausted, "too many requests at once");
    }
    this.#call(frame.streamId, request, handler);
  }

  #call(streamId: number, request: Request, handler: Handler): void {
    const size = request.payload.length;
    const call = new Call(request, (response) => {
      // A handler whose time is over may still run, and is counted for as long.
      return this.#answer(streamId, response);
    });
    this.#calls.add(call);
    this.#requestBytes += size;
    call.run(handler, request.payload).finally(() => {
      this.#calls.delete(call);
      this.#requestBytes -= size;
    });
  }

  /** Resolves when it is written, or cannot be. */
  async #answer(streamId: number, response: Input<Response>): Promise<void> {
    let payload = Response.encode(response);
    if (payload.length > MAXIMUM_PAYLOAD) {
      const status = { code: Code.resourceExhausted, message: "the answer is too large" };
      payload = Response.encode({ status });
    }
    try {
      await this.#writer.send(streamId, FrameType.response, 0, payload);
    } catch (error) {
      if (!this.#isClosed && !isDisconnection(error)) this.#log(`ttrpc connection: ${error}`);
      this.#end();
    }
  }
}

/** A request that is worked on. */
class Call implements RequestContext {
  readonly service: string;
  readonly method: string;
  readonly #answer: (response: Input<Response>) => Promise<void>;
  readonly #timeoutMs: number | undefined;
  readonly #callbacks: (() => void)[] = [];
  #timer?: Timer;
  #controller?: AbortController;
  #abortReason?: string;
  #isAnswered = false;

  constructor(request: Request, answer: (response: Input<Response>) => Promise<void>) {
    this.service = request.service;
    this.method = request.method;
    this.#answer = answer;
    if (request.timeoutNano !== 0n) {
      this.#timeoutMs = Math.ceil(Number(request.timeoutNano) / 1e6);
    }
  }

  /** Made when it is asked for: most handlers do not. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  afterAnswer(callback: () => void): void {
    this.#callbacks.push(callback);
  }

  abort(reason: string): void {
    this.#abortReason = reason;
    this.#controller?.abort(new RpcError(Code.canceled, reason));
  }

  /** Resolves when the handler is done. Does not reject. */
  async run(handler: Handler, payload: Uint8Array): Promise<void> {
    if (this.#timeoutMs !== undefined) {
      if (this.#timeoutMs <= 0) return this.#expire();
      this.#timer = after(this.#timeoutMs, () => this.#expire());
    }
    try {
      this.#finish({ payload: await handler(payload, this) });
    } catch (error) {
      this.#finish({ status: statusOf(error) });
    }
  }

  #expire(): void {
    this.abort("context deadline exceeded");
    this.#finish({
      status: { code: Code.deadlineExceeded, message: "context deadline exceeded" },
    });
  }

  #finish(response: Input<Response>): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#timer?.cancel();
    this.#answer(response).then(() => {
      for (const callback of this.#callbacks) callback();
    });
  }
}

/** What a caller names must not reach the prototype. */
function ownValue<V>(record: Readonly<Record<string, V>>, key: string): V | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function clip(name: string): string {
  return name.slice(0, 128);
}

/** The other side went away, or this side closed: nothing to report. */
function isDisconnection(error: unknown): boolean {
  if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
    return true;
  }
  const { code } = error as { code?: unknown };
  return code === "ECONNRESET" || code === "EPIPE";
}
