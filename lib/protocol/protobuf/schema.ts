import { decodeMessage, encodeMessage } from "./codec.ts";

/** What a field's values are, as the `.proto` files call it. */
export type Kind =
  | "string"
  | "bytes"
  | "bool"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "double"
  | "message"
  | "map";

/** A field of a message; `V` is what it is in TypeScript. */
export interface Field<V> {
  readonly number: number;
  readonly kind: Kind;
  readonly repeated: boolean;
  /** Of a message. */
  readonly type?: MessageType<unknown>;
  /** Only there for the compiler. */
  readonly value?: V;
}

/** The fields of a message, by their names in TypeScript. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<T[K]> };

/** What may be encoded as a `T`: what is left out has proto3's default, and numbers do for bigints. */
export type Input<T> = T extends Uint8Array ? Uint8Array
  : T extends bigint ? bigint | number
  : T extends Map<string, string> ? ReadonlyMap<string, string>
  : T extends (infer E)[] ? readonly Input<E>[]
  : T extends object ? { readonly [K in keyof T]?: Input<T[K]> }
  : T;

/** A type of messages. */
export interface MessageType<T> {
  /** With its package; also the `type_url` of a google.protobuf.Any that holds one. */
  readonly name: string;
  /** Made at first use: most types are never needed. */
  readonly fields: Fields<T>;
  /** Fields by their numbers. */
  readonly byNumber: ReadonlyMap<number, { name: string; field: Field<unknown> }>;
  encode(value: Input<T>): Uint8Array<ArrayBuffer>;
  /** @throws MalformedMessageError */
  decode(bytes: Uint8Array): T;
}

/**
 * @param name with its package
 * @param makeFields is called at first use
 */
export function message<T>(name: string, makeFields: () => Fields<T>): MessageType<T> {
  let fields: Fields<T> | undefined;
  let byNumber: MessageType<T>["byNumber"] | undefined;
  const type: MessageType<T> = {
    name,
    get fields() {
      return fields ??= makeFields();
    },
    get byNumber() {
      return byNumber ??= new Map(
        Object.entries<Field<unknown>>(type.fields).map(
          ([name, field]) => [field.number, { name, field }],
        ),
      );
    },
    encode: (value) => encodeMessage(type, value),
    decode: (bytes) => decodeMessage(type, bytes),
  };
  return type;
}

/** The fields of a `.proto` file, each made from its number. */
export const field = {
  string: (number: number) => scalar<string>(number, "string"),
  bytes: (number: number) => scalar<Uint8Array>(number, "bytes"),
  bool: (number: number) => scalar<boolean>(number, "bool"),
  uint32: (number: number) => scalar<number>(number, "uint32"),
  int32: (number: number) => scalar<number>(number, "int32"),
  /** Enumerations are open: a number that has no name stays what it is. */
  enum: <V extends number>(number: number) => scalar<V>(number, "int32"),
  uint64: (number: number) => scalar<bigint>(number, "uint64"),
  int64: (number: number) => scalar<bigint>(number, "int64"),
  double: (number: number) => scalar<number>(number, "double"),
  message: <T>(number: number, type: MessageType<T>): Field<T | undefined> => ({
    number,
    kind: "message",
    repeated: false,
    type: type as MessageType<unknown>,
  }),
  /** A `map<string, string>`. */
  map: (number: number): Field<Map<string, string>> => ({ number, kind: "map", repeated: false }),
  repeated: <V>(field: Field<V>): Field<NonNullable<V>[]> => ({
    number: field.number,
    kind: field.kind,
    repeated: true,
    type: field.type,
  }),
};

function scalar<V>(number: number, kind: Kind): Field<V> {
  return { number, kind, repeated: false };
}
