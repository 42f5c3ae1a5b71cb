/**
 * Memory that C reads and writes.
 *
 * Buffers come from `new ArrayBuffer`, because V8 keeps small typed arrays inside its moving heap
 * until their `buffer` is read. A buffer stays alive for the call it is passed to. A pointer stored in
 * another buffer keeps nothing alive, so pointers here only point into the buffer that holds them.
 * @module
 */
import { errnos } from "./constants/errno.ts";
import { LinuxError } from "./errors.ts";

const POINTER_SIZE = 8;
const encoder = new TextEncoder();

/**
 * @param size bytes, at least 1: an empty array would be passed as NULL
 * @returns zeroed memory, aligned for every C type
 */
export function allocate(size: number): Uint8Array<ArrayBuffer> {
  if (!(size > 0)) throw new RangeError(`cannot allocate ${size} bytes`);
  return new Uint8Array(new ArrayBuffer(size));
}

/**
 * A NUL-terminated string in UTF-8.
 *
 * @param value the string
 * @param operation the C function it is meant for, for the error
 * @throws {LinuxError} EINVAL: it contains NUL, where C would cut it off, or half of a surrogate
 * pair, which has no encoding
 */
export function cString(value: string, operation: string): Uint8Array<ArrayBuffer> {
  const bytes = allocate(3 * value.length + 1);
  return bytes.subarray(0, encodeInto(value, bytes, operation) + 1);
}

/** As `cString`; null stays NULL. */
export function cStringOrNull(
  value: string | null,
  operation: string,
): Uint8Array<ArrayBuffer> | null {
  return value === null ? null : cString(value, operation);
}

/**
 * A vector of strings such as argv: pointers, a NULL, then the strings they point to, all in one
 * buffer, which is all that has to stay alive.
 *
 * @param values the strings; may be empty
 * @param operation the C function it is meant for, for the error
 * @throws {LinuxError} EINVAL as `cString`
 */
export function cStringVector(values: string[], operation: string): Uint8Array<ArrayBuffer> {
  const pointersSize = (values.length + 1) * POINTER_SIZE;
  const size = values.reduce((sum, value) => sum + 3 * value.length + 1, pointersSize);
  const bytes = allocate(size);
  const pointers = new BigUint64Array(bytes.buffer, 0, values.length + 1);
  const base = addressOf(bytes);
  let offset = pointersSize;
  values.forEach((value, index) => {
    pointers[index] = base + BigInt(offset);
    offset += encodeInto(value, bytes.subarray(offset), operation) + 1;
  });
  return bytes;
}

/**
 * The address of a buffer's first byte. It does not keep the buffer alive: store it only in the same
 * buffer.
 */
export function addressOf(bytes: Uint8Array<ArrayBuffer>): bigint {
  return Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes));
}

function encodeInto(value: string, target: Uint8Array, operation: string): number {
  if (value.includes("\0")) {
    throw new LinuxError(operation, printable(value), errnos.EINVAL as number, "contains NUL");
  }
  if (!value.isWellFormed()) {
    throw new LinuxError(operation, printable(value), errnos.EINVAL as number, "is not Unicode");
  }
  return encoder.encodeInto(value, target).written;
}

function printable(value: string): string {
  return JSON.stringify(value);
}
