/** What a handler can know of its request beyond the payload. */
export interface RequestContext {
  readonly service: string;
  readonly method: string;
  /** Aborted when the answer is no longer awaited: timeout, or the connection closed. */
  readonly signal: AbortSignal;
  /** Calls when the answer is written, or cannot be. */
  afterAnswer(callback: () => void): void;
}

/**
 * @param payload the request's message
 * @returns the answer's message
 * @throws any error: `statusOf` says how it is reported
 */
export type Handler = (
  payload: Uint8Array,
  context: RequestContext,
) => Promise<Uint8Array> | Uint8Array;

/** Handlers by the full names of services, and in them by the names of methods. */
export type Services = Readonly<Record<string, Readonly<Record<string, Handler>>>>;
