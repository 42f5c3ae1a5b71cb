import {
  AlreadyExistsError,
  formatError,
  InvalidConfigurationError,
  NotFoundError,
  UnsupportedError,
  UruncError,
  UsageError,
  WrongStateError,
} from "../../errors.ts";
import { MalformedMessageError } from "../protobuf/error.ts";

/**
 * How a call ended. containerd turns them into its own classes of errors, and acts on those: a task
 * that is not found is gone, for example.
 *
 * @see google.golang.org/grpc/codes; containerd, `errdefs/grpc.go`
 */
export const Code = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  alreadyExists: 6,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  unavailable: 14,
} as const;

/** Longer texts are cut: they end up in logs, and in front of people. */
const MAXIMUM_TEXT = 4096;

/** A call that ended with a status: thrown by a handler, or received by a client. */
export class RpcError extends UruncError {
  override name = "RpcError";
  /** One of {@linkcode Code}, or another of gRPC. */
  readonly code: number;

  /** @param operation what was called, when this is an answer */
  constructor(code: number, reason: string, operation?: string) {
    super({ operation: operation ?? "answer", reason });
    this.code = code;
    if (operation === undefined) this.message = reason;
  }
}

/**
 * What `Kill` answers when there is nothing left to signal: docker and the CRI plugin take it for
 * success, and any other error for a failure to stop.
 *
 * @see containerd, `cmd/containerd-shim-runc-v2/process/utils.go`
 */
export function processAlreadyFinished(): RpcError {
  return new RpcError(Code.notFound, "process already finished");
}

const CODES: readonly [new (...parts: never[]) => Error, number][] = [
  [NotFoundError, Code.notFound],
  [AlreadyExistsError, Code.alreadyExists],
  [WrongStateError, Code.failedPrecondition],
  [UnsupportedError, Code.unimplemented],
  [UsageError, Code.invalidArgument],
  [InvalidConfigurationError, Code.invalidArgument],
  [MalformedMessageError, Code.invalidArgument],
];

/** @returns how an error that a handler threw is reported to the caller */
export function statusOf(error: unknown): { code: number; message: string } {
  const code = error instanceof RpcError
    ? error.code
    : CODES.find(([type]) => error instanceof type)?.[1] ?? Code.unknown;
  return { code, message: formatError(error).slice(0, MAXIMUM_TEXT) };
}
