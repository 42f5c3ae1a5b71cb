/**
 * errno, and the error that every wrapper throws.
 * @module
 */
import { errnos } from "./constants/errno.ts";
import { __errno_location } from "./symbols/errno.ts";
import { strerror } from "./symbols/string.ts";

/** A system call that failed: what, on what, why. */
export class LinuxError extends Error {
  override name = "LinuxError";
  /** The C function: `mount`. */
  readonly operation: string;
  /** What it was called on: a path, `fd 5`. */
  readonly subject?: string;
  readonly errno: number;
  /** C's name of the errno: `ENOENT`. */
  readonly code: string;

  /**
   * @param operation the C function
   * @param subject what it was called on
   * @param errno as in errno(3)
   * @param reason in place of strerror(3)'s text
   */
  constructor(operation: string, subject: string | undefined, errno: number, reason?: string) {
    const code = errnoName(errno);
    const what = subject === undefined ? operation : `${operation} ${subject}`;
    super(`${what}: ${reason ?? describe(errno)} (${code})`);
    this.operation = operation;
    this.subject = subject;
    this.errno = errno;
    this.code = code;
  }
}

/**
 * @param errno as in errno(3)
 * @returns C's name, or `E` and the number where the table has none
 */
export function errnoName(errno: number): string {
  for (const name in errnos) if (errnos[name] === errno) return name;
  return `E${errno}`;
}

/**
 * The errno of this thread. It is read from memory, because a call to read it may overwrite it. V8 with
 * helper threads overwrites it once in a process all the same (lib/build/start_up.ts): the linked
 * program runs V8 without them.
 *
 * Nonblocking calls run in other threads, whose errno cannot be read: their wrappers repeat the call
 * on this thread, in a form that cannot block.
 */
function lastErrno(): number {
  errnoCell ??= openErrno();
  return errnoCell[0] as number;
}

let errnoCell: Int32Array | undefined;

function openErrno(): Int32Array {
  const pointer = __errno_location();
  if (pointer === null) throw new TypeError("errno has no address");
  return new Int32Array(Deno.UnsafePointerView.getArrayBuffer(pointer, 4));
}

/**
 * For calls that must not be repeated, or that no signal can interrupt.
 *
 * @param operation the C function
 * @param subject what it is called on
 * @param call the call itself; negative means failed, with errno set
 * @returns its result
 * @throws {LinuxError}
 */
export function checked(
  operation: string,
  subject: string | undefined,
  call: () => number | bigint,
): number {
  // Before the call: finding the address for the first time afterwards could change errno.
  errnoCell ??= openErrno();
  const result = Number(call());
  if (result < 0) throw new LinuxError(operation, subject, lastErrno());
  return result;
}

/** As `checked`, and repeats the call as long as a signal interrupts it. */
export function retried(
  operation: string,
  subject: string | undefined,
  call: () => number | bigint,
): number {
  errnoCell ??= openErrno();
  for (;;) {
    const result = Number(call());
    if (result >= 0) return result;
    const errno = lastErrno();
    if (errno !== errnos.EINTR) throw new LinuxError(operation, subject, errno);
  }
}

function describe(errno: number): string {
  const text = strerror(errno);
  return text === null ? "unknown error" : Deno.UnsafePointerView.getCString(text);
}

/**
 * @param call on a nonblocking descriptor
 * @returns undefined when it would block
 */
export function unlessItWaits<Result>(call: () => Result): Result | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EAGAIN") return undefined;
    throw error;
  }
}
