import { type Envelope, type Input, type MessageType } from "../../protocol/containerd/messages.ts";
import { packAny, timestampOf } from "../../protocol/protobuf/well_known.ts";
import { Code, RpcError } from "../../protocol/ttrpc/status.ts";
import { after, delay } from "../../os/timer.ts";
import { type Forwarder, isRefused } from "./forward.ts";

export interface PublisherOptions {
  forwarder: Forwarder;
  /** Of containerd. */
  namespace: string;
  /** Receives messages about lost events and an unreachable containerd. */
  log?: (text: string) => void;
  /** How many events wait at most; 2048 by default, as in containerd's own shim. */
  capacity?: number;
  /** Milliseconds to the first attempt after a failed one, 20 by default; doubled for each further one. */
  firstRetryMs?: number;
}

const DEFAULT_CAPACITY = 2048;
const DEFAULT_FIRST_RETRY_MS = 20;

/** A restarted containerd hears of exits no later than this. Attempts to connect cost little. */
const MAXIMUM_RETRY_MS = 1000;

/** An event that containerd refuses so often is given up: it would hold up all others for ever. */
const MAXIMUM_REFUSALS = 5;

/** Answers that no repetition changes. */
const FINAL_CODES: readonly number[] = [Code.invalidArgument, Code.unimplemented];

/**
 * Dropped last when the queue is full: waiters for a task need these, while all others only
 * say what containerd asks for anyway once it is back.
 */
const PRECIOUS_TOPICS: readonly string[] = ["/tasks/exit", "/tasks/delete"];

/**
 * Publishes events to containerd in order and at least once: an event whose answer was lost is sent
 * again. While containerd is away events wait; when too many do, the oldest goes that is neither an exit
 * nor a delete, or the oldest of all.
 */
export class Publisher {
  readonly #forwarder: Forwarder;
  readonly #namespace: string;
  readonly #log: (text: string) => void;
  readonly #capacity: number;
  readonly #firstRetryMs: number;
  /** The first one is being forwarded. */
  readonly #queue: Envelope[] = [];
  readonly #idle: (() => void)[] = [];
  #isRunning = false;
  #isClosed = false;

  constructor(options: PublisherOptions) {
    this.#forwarder = options.forwarder;
    this.#namespace = options.namespace;
    this.#log = options.log ?? (() => {});
    this.#capacity = options.capacity ?? DEFAULT_CAPACITY;
    this.#firstRetryMs = options.firstRetryMs ?? DEFAULT_FIRST_RETRY_MS;
  }

  /** Events that containerd has not taken yet. */
  get pending(): number {
    return this.#queue.length;
  }

  /**
   * Returns at once.
   *
   * @param topic `/tasks/exit`
   * @param type of the event
   */
  publish<T>(topic: string, type: MessageType<T>, event: Input<T>): void {
    if (this.#isClosed) return this.#log(`event ${topic} after the publisher was closed: dropped`);
    if (this.#queue.length >= this.#capacity) this.#drop();
    this.#queue.push({
      timestamp: timestampOf(Date.now()),
      namespace: this.#namespace,
      topic,
      event: packAny(type, event),
    });
    if (this.#isRunning) return;
    this.#isRunning = true;
    // The answer that this event is about goes first.
    after(0, () => void this.#run());
  }

  /**
   * Waits until containerd has taken all events.
   *
   * @param timeoutMs milliseconds
   * @returns how many it has not
   */
  async flush(timeoutMs: number): Promise<number> {
    if (this.#queue.length > 0) {
      await new Promise<void>((resolve) => {
        const timer = after(timeoutMs, resolve);
        this.#idle.push(() => {
          timer.cancel();
          resolve();
        });
      });
    }
    return this.#queue.length;
  }

  /** Forwards nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#forwarder.close();
  }

  async #run(): Promise<void> {
    let refusals = 0;
    let retryMs = this.#firstRetryMs;
    while (this.#queue.length > 0 && !this.#isClosed) {
      const envelope = this.#queue[0]!;
      const error = await this.#forward(envelope);
      if (error === undefined || isRefused(error) && ++refusals >= refusalsAllowed(error)) {
        if (error !== undefined) this.#log(`event ${envelope.topic} is lost: ${error.message}`);
        else if (retryMs > this.#firstRetryMs) this.#log("containerd takes events again");
        this.#queue.shift();
        refusals = 0;
        retryMs = this.#firstRetryMs;
      } else {
        if (retryMs === this.#firstRetryMs) this.#log(`event ${envelope.topic}: ${error.message}`);
        await delay(retryMs);
        retryMs = Math.min(retryMs * 2, MAXIMUM_RETRY_MS);
      }
    }
    this.#isRunning = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #forward(envelope: Envelope): Promise<Error | undefined> {
    try {
      await this.#forwarder.forward(envelope);
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  /** Makes room for one. The first one stays: it may have been taken already. */
  #drop(): void {
    const ordinary = this.#queue.findIndex(
      ({ topic }, index) => index > 0 && !PRECIOUS_TOPICS.includes(topic),
    );
    const [dropped] = this.#queue.splice(Math.max(ordinary, 1), 1);
    this.#log(`event ${dropped?.topic} is lost: more than ${this.#capacity} wait for containerd`);
  }
}

function refusalsAllowed(error: Error): number {
  return error instanceof RpcError && FINAL_CODES.includes(error.code) ? 1 : MAXIMUM_REFUSALS;
}
