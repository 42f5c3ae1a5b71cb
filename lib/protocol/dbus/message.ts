import { Reader } from "./reader.ts";
import { malformed, type Value, type Variant } from "./values.ts";
import { Writer } from "./writer.ts";

/** Kinds of messages, by the number that stands in their second byte. */
const KINDS = ["invalid", "call", "return", "error", "signal"] as const;

/** Flags of a call: see the specification, "Message Format". */
export const NO_REPLY_EXPECTED = 0x1;
export const NO_AUTO_START = 0x2;

const PROTOCOL_VERSION = 1;
const LITTLE_ENDIAN = 0x6c; // l
const BIG_ENDIAN = 0x42; // B

/** What must be there before a message's length is known: fixed fields, length of the others. */
export const PREFIX_BYTES = 16;

/** The specification allows 128 MiB. Answers to what is asked here have some hundred bytes. */
const MAXIMUM_BYTES = 1024 * 1024;

/** The header fields that are used here: their number and signature. */
const FIELDS = {
  path: [1, "o"],
  interface: [2, "s"],
  member: [3, "s"],
  errorName: [4, "s"],
  replySerial: [5, "u"],
  destination: [6, "s"],
  sender: [7, "s"],
  signature: [8, "g"],
} as const;

type FieldName = keyof typeof FIELDS;

/** A message. Without a signature it has no body. */
export interface Message {
  kind: (typeof KINDS)[number];
  /** NO_*. */
  flags: number;
  /** Never 0. */
  serial: number;
  path?: string;
  interface?: string;
  member?: string;
  errorName?: string;
  /** Of a return or error: the call's serial. */
  replySerial?: number;
  destination?: string;
  sender?: string;
  signature?: string;
  body: Value[];
}

/**
 * The bytes of a message.
 *
 * @throws HostError when the body is not of the signature's types
 */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const body = new Writer();
  body.write(message.signature ?? "", message.body);
  const bodyBytes = body.bytes;

  const names = Object.keys(FIELDS) as FieldName[];
  const fields = names.flatMap((name): Value[] => {
    const value = message[name];
    const [code, signature] = FIELDS[name];
    return value === undefined || value === "" ? [] : [[code, { signature, value }]];
  });
  const writer = new Writer();
  writer.write("yyyyuua(yv)", [
    LITTLE_ENDIAN,
    KINDS.indexOf(message.kind),
    message.flags,
    PROTOCOL_VERSION,
    bodyBytes.length,
    message.serial,
    fields,
  ]);
  writer.align(8);
  writer.append(bodyBytes);
  return writer.bytes;
}

/**
 * How long a message is.
 *
 * @param prefix its first PREFIX_BYTES bytes
 * @returns bytes, the prefix included
 * @throws HostError when it is not a message, or longer than any that is expected
 */
export function messageBytes(prefix: Uint8Array): number {
  const little = isLittleEndian(prefix);
  const view = new DataView(prefix.buffer, prefix.byteOffset, prefix.byteLength);
  const body = view.getUint32(4, little);
  const fields = view.getUint32(12, little);
  const total = PREFIX_BYTES + Math.ceil(fields / 8) * 8 + body;
  if (total > MAXIMUM_BYTES) throw malformed(`it has ${total} bytes`);
  return total;
}

/**
 * @param bytes exactly one message
 * @throws HostError when they are none
 */
export function decodeMessage(bytes: Uint8Array): Message {
  const little = isLittleEndian(bytes);
  const reader = new Reader(bytes, little);
  const [, kind, flags, version, bodyLength, serial, fields] = reader.read("yyyyuua(yv)") as [
    number,
    number,
    number,
    number,
    number,
    number,
    [number, Variant][],
  ];
  if (version !== PROTOCOL_VERSION) throw malformed(`its protocol has version ${version}`);
  if (serial === 0) throw malformed("it has no serial");
  reader.align(8);
  if (bytes.length - reader.position !== bodyLength) throw malformed("its body ends elsewhere");

  const known = readFields(fields);
  const body = reader.read(known.signature ?? "");
  if (reader.position !== bytes.length) throw malformed("its body is longer than its signature");
  // Kinds that the future brings are to be ignored, the specification says.
  return { kind: KINDS[kind] ?? "invalid", flags, serial, ...known, body };
}

type Fields = Pick<Message, FieldName>;

function readFields(fields: [number, Variant][]): Fields {
  const known: Record<string, Value> = {};
  for (const [code, { signature, value }] of fields) {
    const name = (Object.keys(FIELDS) as FieldName[]).find((it) => FIELDS[it][0] === code);
    // Unknown fields are to be ignored, the specification says.
    if (name === undefined) continue;
    if (signature !== FIELDS[name][1]) throw malformed(`its ${name} has the type ${signature}`);
    known[name] = value;
  }
  return known as Fields;
}

function isLittleEndian(bytes: Uint8Array): boolean {
  if (bytes[0] === LITTLE_ENDIAN) return true;
  if (bytes[0] === BIG_ENDIAN) return false;
  throw malformed("it does not begin like one");
}
