import { malformed } from "./error.ts";
import { Reader, WireType } from "./reader.ts";
import type { Field, Input, Kind, MessageType } from "./types.ts";
import { Writer } from "./writer.ts";

/** Messages in messages. Those of containerd have four. */
const MAXIMUM_DEPTH = 32;

/**
 * Elements of all repeated fields of one message together. Four megabytes of empty elements
 * would make objects of several hundred; the largest list of real life has one entry for each CPU.
 */
const MAXIMUM_ELEMENTS = 65_536;

type Values = Record<string, unknown>;

/** @see MessageType.encode */
export function encodeMessage<T>(type: MessageType<T>, value: Input<T>): Uint8Array<ArrayBuffer> {
  const writer = new Writer();
  writeMessage(writer, type, value as Values);
  return writer.finish();
}

/** @see MessageType.decode */
export function decodeMessage<T>(type: MessageType<T>, bytes: Uint8Array): T {
  const decoder = new Decoder(type.name);
  return decoder.message(new Reader(bytes, type.name), type) as T;
}

function writeMessage(writer: Writer, type: MessageType<unknown>, values: Values): void {
  for (const [name, field] of Object.entries(type.fields)) {
    const value = values[name];
    if (value === undefined) continue;
    if (field.repeated) writeRepeated(writer, field, value as readonly unknown[]);
    else if (!isDefault(field.kind, value)) writeField(writer, field, value);
  }
}

function writeRepeated(writer: Writer, field: Field<unknown>, values: readonly unknown[]): void {
  if (values.length === 0) return;
  if (WIRE_TYPES[field.kind] === WireType.bytes) {
    for (const value of values) writeField(writer, field, value);
  } else {
    writer.nested(field.number, (inner) => {
      for (const value of values) writeValue(inner, field, value);
    });
  }
}

function writeField(writer: Writer, field: Field<unknown>, value: unknown): void {
  if (field.kind === "message") {
    writer.nested(field.number, (inner) => writeMessage(inner, field.type!, value as Values));
  } else {
    writer.tag(field.number, WIRE_TYPES[field.kind]);
    writeValue(writer, field, value);
  }
}

function writeValue(writer: Writer, field: Field<unknown>, value: unknown): void {
  switch (field.kind) {
    case "string":
      return writer.string(value as string);
    case "bytes":
      return writer.delimited(value as Uint8Array);
    case "bool":
      return writer.varint(value ? 1 : 0);
    case "uint32":
      return writer.varint(value as number >>> 0);
    case "int32":
      return writer.varint64(BigInt(value as number | 0));
    case "uint64":
    case "int64":
      return writer.varint64(BigInt(value as bigint | number));
  }
}

/** Of one element. */
const WIRE_TYPES: Record<Kind, number> = {
  string: WireType.bytes,
  bytes: WireType.bytes,
  message: WireType.bytes,
  bool: WireType.varint,
  uint32: WireType.varint,
  int32: WireType.varint,
  uint64: WireType.varint,
  int64: WireType.varint,
};

/** Proto3 does not write what is zero or empty; a message that is there has no default. */
function isDefault(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "message":
      return false;
    case "string":
    case "bytes":
      return (value as string | Uint8Array).length === 0;
    case "bool":
      return value === false;
    default:
      return value === 0 || value === 0n;
  }
}

function defaultOf(field: Field<unknown>): unknown {
  if (field.repeated) return [];
  switch (field.kind) {
    case "string":
      return "";
    case "bytes":
      return new Uint8Array();
    case "bool":
      return false;
    case "uint64":
    case "int64":
      return 0n;
    case "message":
      return undefined;
    default:
      return 0;
  }
}

/** Decodes one message with all that is in it. */
class Decoder {
  readonly #subject: string;
  #depth = 0;
  #elements = 0;

  constructor(subject: string) {
    this.#subject = subject;
  }

  /** @param into an earlier part of the same message: a field that comes twice is merged */
  message(reader: Reader, type: MessageType<unknown>, into?: Values): Values {
    if (++this.#depth > MAXIMUM_DEPTH) throw malformed(this.#subject, "it is nested too deep");
    const values = into ?? emptyMessage(type);
    while (!reader.atEnd) {
      const { number, wireType } = reader.tag();
      const known = type.byNumber.get(number);
      if (known === undefined) reader.skip(number, wireType);
      else if (!this.#field(reader, wireType, known.field, values, known.name)) {
        reader.skip(number, wireType);
      }
    }
    this.#depth--;
    return values;
  }

  /** @returns whether the wire type fits the field: otherwise nothing was read */
  #field(
    reader: Reader,
    wireType: number,
    field: Field<unknown>,
    values: Values,
    name: string,
  ): boolean {
    const expected = WIRE_TYPES[field.kind];
    if (wireType === expected) {
      if (field.repeated) this.#push(values[name] as unknown[], this.#value(reader, field));
      else values[name] = this.#value(reader, field, values[name]);
      return true;
    }
    // Numbers come one by one or packed, whatever the sender's `.proto` says.
    if (!field.repeated || wireType !== WireType.bytes) return false;
    const packed = reader.nested(this.#subject);
    while (!packed.atEnd) this.#push(values[name] as unknown[], this.#value(packed, field));
    return true;
  }

  #value(reader: Reader, field: Field<unknown>, before?: unknown): unknown {
    if (field.kind !== "message") return reader[field.kind as Exclude<Kind, "message">]();
    const type = field.type!;
    return this.message(reader.nested(type.name), type, before as Values | undefined);
  }

  #push(list: unknown[], value: unknown): void {
    this.#count();
    list.push(value);
  }

  #count(): void {
    if (++this.#elements > MAXIMUM_ELEMENTS) {
      throw malformed(this.#subject, `it has more than ${MAXIMUM_ELEMENTS} elements`);
    }
  }
}

function emptyMessage(type: MessageType<unknown>): Values {
  const values: Values = {};
  for (const [name, field] of Object.entries(type.fields)) {
    const value = defaultOf(field);
    if (value !== undefined) values[name] = value;
  }
  return values;
}
