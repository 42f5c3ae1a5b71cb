import { bytes, int32, int64, message, string } from "./schema.ts";
import type { Input, MessageOf, MessageType } from "./types.ts";

/**
 * Types that come with protobuf.
 *
 * @see protobuf.dev/reference/protobuf/google.protobuf
 * @module
 */

/** A message of any type. */
export const Any = message("google.protobuf.Any", () => ({
  /** For containerd the message's full name, alone or after a `/`. */
  typeUrl: string(1),
  value: bytes(2),
}));
export type Any = MessageOf<typeof Any>;

/** @returns the message as containerd's typeurl package packs it: the name alone is the URL */
export function packAny<T>(type: MessageType<T>, value: Input<T>): Any {
  return { typeUrl: type.name, value: type.encode(value) };
}

/**
 * @returns the message, or undefined when it is of another type
 * @throws MalformedMessageError
 */
export function unpackAny<T>(type: MessageType<T>, any: Any): T | undefined {
  const name = any.typeUrl.slice(any.typeUrl.lastIndexOf("/") + 1);
  return name === type.name ? type.decode(any.value) : undefined;
}

/** A point in time. */
export const Timestamp = message("google.protobuf.Timestamp", () => ({
  /** Since 1970; whole seconds. */
  seconds: int64(1),
  /** From 0 to 999999999, counted forward also before 1970. */
  nanos: int32(2),
}));
export type Timestamp = MessageOf<typeof Timestamp>;

/** @param milliseconds since 1970, as of Date.now(); fractions count */
export function timestampOf(milliseconds: number): Timestamp {
  const seconds = Math.floor(milliseconds / 1000);
  const nanos = Math.floor((milliseconds - seconds * 1000) * 1e6);
  return { seconds: BigInt(seconds), nanos };
}

/** The answer of what has nothing to say: google.protobuf.Empty, encoded. */
export const EMPTY: Uint8Array<ArrayBuffer> = new Uint8Array();
