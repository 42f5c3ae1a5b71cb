import { HostError } from "../../errors.ts";
import { NLA_F_NESTED, NLA_TYPE_MASK } from "./constants.ts";

/** Size of `struct nlmsghdr` in bytes (linux/netlink.h). */
export const NLMSG_HDRLEN = 16;
/** Size of `struct nlattr` in bytes (linux/netlink.h). */
export const NLA_HDRLEN = 4;

/** One netlink message, without its header's length and padding. */
export interface NetlinkMessage {
  type: number;
  flags: number;
  sequence: number;
  port: number;
  /** What follows the header: a fixed structure of the message's family, then attributes. */
  payload: Uint8Array;
}

/** An attribute to send: raw bytes, or attributes nested in it. */
export interface Attribute {
  type: number;
  value: Uint8Array | Attribute[];
}

/** Attributes that were received, by type. Of a type that occurs twice the last one stands. */
export type Attributes = Map<number, Uint8Array>;

/** Messages, structures and attributes all start on 4-byte boundaries (NLMSG_ALIGNTO, NLA_ALIGNTO). */
function align(length: number): number {
  return (length + 3) & ~3;
}

/** @returns a view for reading and writing the numbers of `bytes` */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** @returns `value` as 4 bytes in the machine's order (little-endian) */
export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return bytes;
}

/** @returns `value` as 4 bytes in network order, as netfilter has its numbers */
export function be32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, false);
  return bytes;
}

/** @returns `text` as a C string */
export function cString(text: string): Uint8Array {
  return new TextEncoder().encode(`${text}\0`);
}

/** @returns the text of an attribute up to its NUL, or all of it */
export function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/**
 * Reads an attribute's number.
 *
 * @param bytes the attribute's value; undefined when the kernel did not send it
 * @returns the number, or undefined
 * @throws {HostError} when the attribute is shorter than 4 bytes
 */
export function numberOf(bytes: Uint8Array | undefined): number | undefined {
  if (bytes === undefined) return undefined;
  if (bytes.length < 4) throw malformed(`a number has ${bytes.length} bytes`);
  return viewOf(bytes).getUint32(0, true);
}

/**
 * Lays out one message for sending.
 *
 * @param message its `payload` is the fixed structure of the message type
 * @param attributes appended to the payload
 * @returns header, structure and attributes, padded
 */
export function encodeMessage(message: NetlinkMessage, attributes: Attribute[] = []): Uint8Array {
  const tail = encodeAttributes(attributes);
  const start = NLMSG_HDRLEN + align(message.payload.length);
  const bytes = new Uint8Array(start + tail.length);
  const view = viewOf(bytes);
  view.setUint32(0, bytes.length, true);
  view.setUint16(4, message.type, true);
  view.setUint16(6, message.flags, true);
  view.setUint32(8, message.sequence, true);
  view.setUint32(12, message.port, true);
  bytes.set(message.payload, NLMSG_HDRLEN);
  bytes.set(tail, start);
  return bytes;
}

function encodeAttributes(attributes: Attribute[]): Uint8Array {
  const parts = attributes.map(({ type, value }) =>
    value instanceof Uint8Array
      ? { type, value }
      : { type: type | NLA_F_NESTED, value: encodeAttributes(value) }
  );
  const total = parts.reduce((sum, part) => sum + NLA_HDRLEN + align(part.value.length), 0);
  const bytes = new Uint8Array(total);
  const view = viewOf(bytes);
  let offset = 0;
  for (const { type, value } of parts) {
    // The length counts the header but not the padding.
    view.setUint16(offset, NLA_HDRLEN + value.length, true);
    view.setUint16(offset + 2, type, true);
    bytes.set(value, offset + NLA_HDRLEN);
    offset += NLA_HDRLEN + align(value.length);
  }
  return bytes;
}

/**
 * Splits what one receive returned into messages.
 *
 * @throws {HostError} when a length is impossible
 */
export function decodeMessages(bytes: Uint8Array): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  const view = viewOf(bytes);
  for (let offset = 0; offset < bytes.length;) {
    const left = bytes.length - offset;
    if (left < NLMSG_HDRLEN) throw malformed(`${left} bytes are left, a header has 16`);
    const length = view.getUint32(offset, true);
    if (length < NLMSG_HDRLEN || length > left) {
      throw malformed(`a message claims ${length} bytes where ${left} are left`);
    }
    messages.push({
      type: view.getUint16(offset + 4, true),
      flags: view.getUint16(offset + 6, true),
      sequence: view.getUint32(offset + 8, true),
      port: view.getUint32(offset + 12, true),
      payload: bytes.subarray(offset + NLMSG_HDRLEN, offset + length),
    });
    offset += align(length);
  }
  return messages;
}

/**
 * Reads the attributes that follow a structure, or that are nested in an attribute.
 *
 * @param bytes a message's payload, or an attribute's value
 * @param offset bytes to skip: the structure's size
 * @throws {HostError} when the structure is incomplete or a length is impossible
 */
export function decodeAttributes(bytes: Uint8Array, offset = 0): Attributes {
  const attributes: Attributes = new Map();
  if (offset > bytes.length) {
    throw malformed(`a structure of ${offset} bytes is cut off after ${bytes.length}`);
  }
  const view = viewOf(bytes);
  for (let at = align(offset); at < bytes.length;) {
    const left = bytes.length - at;
    if (left < NLA_HDRLEN) throw malformed(`${left} bytes are left, an attribute's header has 4`);
    const length = view.getUint16(at, true);
    if (length < NLA_HDRLEN || length > left) {
      throw malformed(`an attribute claims ${length} bytes where ${left} are left`);
    }
    const type = view.getUint16(at + 2, true) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + NLA_HDRLEN, at + length));
    at += align(length);
  }
  return attributes;
}

/** @returns the error for bytes that cannot be a netlink message */
export function malformed(reason: string): HostError {
  return new HostError({ operation: "read netlink message", reason });
}
