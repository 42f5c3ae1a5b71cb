import { decodeMessage, encodeMessage } from "./codec.ts";
import type { EmbeddedField, Field, Fields, Kind, MessageType, MessageWith } from "./types.ts";

/**
 * How a type of messages is written down: a table of its fields, each made from its number, from
 * which the type in TypeScript follows.
 *
 * ```ts
 * export const Mount = message("containerd.types.Mount", () => ({
 *   source: string(2),
 *   options: repeated(string(4)),
 * }));
 * export type Mount = MessageOf<typeof Mount>; // { source: string; options: string[] }
 * ```
 *
 * A field that is not in the table is passed over when it is read, as one is that is younger than
 * this program; so the tables have what is used, not all that the `.proto` files have.
 *
 * @module
 */

/**
 * @param name with its package
 * @param makeFields is called at first use
 */
export function message<F extends Fields>(
  name: string,
  makeFields: () => F,
): MessageType<MessageWith<F>> {
  let fields: Fields | undefined;
  let byNumber: MessageType<unknown>["byNumber"] | undefined;
  const type: MessageType<MessageWith<F>> = {
    name,
    get fields() {
      return fields ??= makeFields();
    },
    get byNumber() {
      return byNumber ??= new Map(
        Object.entries(type.fields).map(([name, field]) => [field.number, { name, field }]),
      );
    },
    encode: (value) => encodeMessage(type, value),
    decode: (bytes) => decodeMessage(type, bytes),
  };
  return type;
}

export const string = (number: number) => scalar<string>(number, "string");
export const bytes = (number: number) => scalar<Uint8Array>(number, "bytes");
export const bool = (number: number) => scalar<boolean>(number, "bool");
export const uint32 = (number: number) => scalar<number>(number, "uint32");
export const int32 = (number: number) => scalar<number>(number, "int32");
export const uint64 = (number: number) => scalar<bigint>(number, "uint64");
export const int64 = (number: number) => scalar<bigint>(number, "int64");

/** Enumerations are open: a number that has no name stays what it is. */
export const enumeration = int32;

/** A single message, which may be left out. */
export function embedded<T>(number: number, type: MessageType<T>): EmbeddedField<T> {
  return { number, kind: "message", repeated: false, type };
}

/** A list of what `field` is one of. */
export function repeated<V>(field: Field<V>): Field<V[]> {
  return { number: field.number, kind: field.kind, repeated: true, type: field.type };
}

function scalar<V>(number: number, kind: Kind): Field<V> {
  return { number, kind, repeated: false };
}
