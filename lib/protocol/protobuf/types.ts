/** What a field's values are, as the `.proto` files call it. */
export type Kind =
  | "string"
  | "bytes"
  | "bool"
  | "uint32"
  | "int32"
  | "uint64"
  | "int64"
  | "message";

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

/** A field that is a single message: the only kind that may be left out. */
export interface EmbeddedField<T> extends Field<T> {
  readonly kind: "message";
  readonly repeated: false;
}

/** The fields of a message, by their names in TypeScript. */
export type Fields = Readonly<Record<string, Field<unknown>>>;

type Value<F> = F extends Field<infer V> ? V : never;
type Embedded<F> = { [K in keyof F]: F[K] extends EmbeddedField<unknown> ? K : never }[keyof F];

/** A message as its fields have it. */
export type MessageWith<F> = Flat<
  & { [K in Exclude<keyof F, Embedded<F>>]: Value<F[K]> }
  & { [K in Embedded<F>]?: Value<F[K]> }
>;
type Flat<T> = { [K in keyof T]: T[K] };

/** The messages of a type: `type Mount = MessageOf<typeof Mount>`. */
export type MessageOf<M> = M extends MessageType<infer T> ? T : never;

/** What may be encoded as a `T`: what is left out has proto3's default, and numbers do for bigints. */
export type Input<T> = T extends Uint8Array ? Uint8Array
  : T extends bigint ? bigint | number
  : T extends (infer E)[] ? readonly Input<E>[]
  : T extends object ? { readonly [K in keyof T]?: Input<T[K]> }
  : T;

/** A type of messages. */
export interface MessageType<T> {
  /** With its package; also the `type_url` of a google.protobuf.Any that holds one. */
  readonly name: string;
  /** Made at first use: most types are never needed. */
  readonly fields: Fields;
  /** Fields by their numbers. */
  readonly byNumber: ReadonlyMap<number, { name: string; field: Field<unknown> }>;
  encode(value: Input<T>): Uint8Array<ArrayBuffer>;
  /** @throws MalformedMessageError */
  decode(bytes: Uint8Array): T;
}
