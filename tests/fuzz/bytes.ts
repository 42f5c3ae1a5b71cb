/** Bytes that were a valid message, or nothing like one. */
import * as fc from "fast-check";

/** Lengths, counts and offsets that parsers stumble over. */
const NUMBERS = [0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0xffff];
const LARGE = [0x10000, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff];

/** One change: where, of which kind, and a number for it. */
type Edit = [at: number, kind: number, value: number];

const edits = fc.array(
  fc.tuple(fc.nat(), fc.nat(9), fc.oneof(fc.constantFrom(...NUMBERS, ...LARGE), fc.nat())),
  { maxLength: 5 },
);

/**
 * Valid bytes that were changed in a few places, cut off or made longer.
 *
 * @param valid at least one
 */
export function damaged(...valid: Uint8Array[]): fc.Arbitrary<Uint8Array<ArrayBuffer>> {
  return fc.tuple(fc.nat(valid.length - 1), edits).map(([index, changes]) => {
    let bytes = valid[index]!.slice();
    for (const change of changes) bytes = edited(bytes, change);
    return bytes;
  });
}

/** Bytes of any value; now and then many. */
export const anyBytes: fc.Arbitrary<Uint8Array> = fc.uint8Array({ maxLength: 200, size: "max" });

/** Mostly valid bytes that were changed, sometimes others. */
export function hostileBytes(...valid: Uint8Array[]): fc.Arbitrary<Uint8Array> {
  return fc.oneof({ arbitrary: damaged(...valid), weight: 9 }, { arbitrary: anyBytes, weight: 1 });
}

function edited(bytes: Uint8Array<ArrayBuffer>, [at, kind, value]: Edit): Uint8Array<ArrayBuffer> {
  if (bytes.length === 0) return Uint8Array.of(value);
  const place = at % bytes.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (kind) {
    case 0:
      bytes[place]! ^= 1 << value % 8;
      return bytes;
    case 1:
      return bytes.slice(0, place);
    case 2:
      return joined(bytes.subarray(0, place), Uint8Array.of(value), bytes.subarray(place));
    case 3:
      return joined(bytes.subarray(0, place), bytes.subarray(place + 1 + value % 16));
    case 4:
      if (place + 2 <= bytes.length) view.setUint16(place, value, at % 2 === 0);
      return bytes;
    case 5:
      if (place + 4 <= bytes.length) view.setUint32(place, value, at % 2 === 0);
      return bytes;
    case 6:
      if (place + 8 <= bytes.length) view.setBigUint64(place, BigInt(value) << 32n, true);
      return bytes;
    case 7:
      return joined(bytes, bytes.subarray(place));
    default:
      bytes[place] = value;
      return bytes;
  }
}

/** One after the other. */
export function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The same bytes in pieces, as they may arrive. */
export function pieces(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, index = 0; at < bytes.length; index++) {
    const size = sizes[index] ?? bytes.length;
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}
