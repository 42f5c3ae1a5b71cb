import { malformed } from "./message.ts";

/** @returns the dotted quad, or the RFC 5952 text, of an address in network byte order */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length === 16) return formatInet6(bytes);
  throw malformed(`an address has ${bytes.length} bytes`);
}

/**
 * @param text as `formatAddress` writes it
 * @returns the address in network byte order, 4 or 16 bytes
 */
export function addressBytes(text: string): Uint8Array {
  if (!text.includes(":")) return Uint8Array.from(text.split("."), Number);
  const quad = /[^:]+\..*$/.exec(text)?.[0];
  const tail = quad === undefined ? [] : [...addressBytes(quad)];
  const [head = "", rest] = (quad === undefined ? text : text.slice(0, -quad.length)).split("::");
  const left = groupBytes(head);
  const right = [...groupBytes(rest ?? ""), ...tail];
  const zeros = Array<number>(16 - left.length - right.length).fill(0);
  return Uint8Array.from([...left, ...zeros, ...right]);
}

function groupBytes(text: string): number[] {
  return text.split(":").filter(Boolean).flatMap((group) => {
    const value = parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}

/** @returns the 6 bytes of `02:42:0a:58:03:07` */
export function macBytes(text: string): Uint8Array {
  return Uint8Array.from(text.split(":"), (byte) => parseInt(byte, 16));
}

/** Whether two addresses of one family have the first `length` bits in common. */
export function sharePrefix(a: Uint8Array, b: Uint8Array, length: number): boolean {
  return a.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, length - 8 * index));
    return ((byte ^ b[index]!) >> (8 - bits)) === 0;
  });
}

/** @returns `02:42:0a:58:03:07` */
export function formatMac(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

function formatInet6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => (bytes[2 * i]! << 8) | bytes[2 * i + 1]!);
  // RFC 5952, section 5: only the well-known prefix ::ffff:0:0/96 is written with a dotted quad.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return `::ffff:${bytes.subarray(12).join(".")}`;
  }
  // RFC 5952, section 4.2: the longest run of zeros, of two or more, the first of equals.
  let start = 0;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
    i = Math.max(i, end - 1);
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}
