import { malformed } from "./error.ts";

/**
 * How a field's value is laid out; the low three bits of its tag.
 *
 * @see protobuf.dev/programming-guides/encoding, "Message Structure"
 */
export const WireType = {
  varint: 0,
  fixed64: 1,
  bytes: 2,
  groupStart: 3,
  groupEnd: 4,
  fixed32: 5,
} as const;

/** Groups in groups; only unknown fields can be groups. */
const MAXIMUM_GROUPS = 32;

/** A varint of 64 bits has at most so many bytes. */
const MAXIMUM_VARINT = 10;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads the wire format. Trusts nothing: it returns values or throws, and copies at most what is there. */
export class Reader {
  readonly #bytes: Uint8Array;
  readonly #subject: string;
  readonly #end: number;
  #position: number;

  /**
   * @param bytes from the first to the last byte of a message
   * @param subject the message's name, for errors
   */
  constructor(bytes: Uint8Array, subject: string, start = 0, end = bytes.length) {
    this.#bytes = bytes;
    this.#subject = subject;
    this.#position = start;
    this.#end = end;
  }

  get atEnd(): boolean {
    return this.#position >= this.#end;
  }

  /** @returns the number and wire type of the field that comes next */
  tag(): { number: number; wireType: number } {
    const { low, high } = this.#varint();
    const number = low >>> 3;
    if (high !== 0 || number === 0) throw this.#malformed("a field's number is out of range");
    return { number, wireType: low & 7 };
  }

  /** The low 32 bits of a varint: as other implementations do, what does not fit is cut off. */
  uint32(): number {
    return this.#varint().low;
  }

  /** As `uint32`, signed. */
  int32(): number {
    return this.#varint().low | 0;
  }

  bool(): boolean {
    const { low, high } = this.#varint();
    return low !== 0 || high !== 0;
  }

  uint64(): bigint {
    const { low, high } = this.#varint();
    return high === 0 ? BigInt(low) : BigInt(high) << 32n | BigInt(low);
  }

  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  /** A copy: the buffer that it is read from may be used again. */
  bytes(): Uint8Array {
    const { start, end } = this.#delimited();
    return this.#bytes.slice(start, end);
  }

  string(): string {
    const { start, end } = this.#delimited();
    try {
      return utf8.decode(this.#bytes.subarray(start, end));
    } catch {
      throw this.#malformed("a string is not UTF-8");
    }
  }

  /** A reader of the length-delimited value that comes next: a message, or packed numbers. */
  nested(subject: string): Reader {
    const { start, end } = this.#delimited();
    return new Reader(this.#bytes, subject, start, end);
  }

  /** Passes over the value of a field that is not known, or known with another wire type. */
  skip(number: number, wireType: number): void {
    const groups: number[] = [];
    for (let next = { number, wireType };; next = this.tag()) {
      switch (next.wireType) {
        case WireType.varint:
          this.#varint();
          break;
        case WireType.fixed64:
          this.#take(8);
          break;
        case WireType.bytes:
          this.#delimited();
          break;
        case WireType.fixed32:
          this.#take(4);
          break;
        case WireType.groupStart:
          if (groups.length === MAXIMUM_GROUPS) throw this.#malformed("groups are nested too deep");
          groups.push(next.number);
          break;
        case WireType.groupEnd:
          if (groups.pop() !== next.number) {
            throw this.#malformed("a group ends that did not begin");
          }
          break;
        default:
          throw this.#malformed(`wire type ${next.wireType} does not exist`);
      }
      if (groups.length === 0) return;
    }
  }

  #delimited(): { start: number; end: number } {
    const { low, high } = this.#varint();
    if (high !== 0) throw this.#truncated();
    const start = this.#take(low);
    return { start, end: this.#position };
  }

  #varint(): { low: number; high: number } {
    let low = 0;
    let high = 0;
    for (let index = 0; index < MAXIMUM_VARINT; index++) {
      if (this.#position >= this.#end) throw this.#truncated();
      const byte = this.#bytes[this.#position++]!;
      const bits = byte & 0x7f;
      const shift = index * 7;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        // The tenth byte has room for the last of 64 bits only.
        if (index === MAXIMUM_VARINT - 1 && bits > 1) break;
        return { low: low >>> 0, high: high >>> 0 };
      }
    }
    throw this.#malformed("a varint has more than 64 bits");
  }

  #take(size: number): number {
    const at = this.#position;
    if (size > this.#end - at) throw this.#truncated();
    this.#position = at + size;
    return at;
  }

  #truncated() {
    return this.#malformed("it is cut off");
  }

  #malformed(reason: string) {
    return malformed(this.#subject, reason);
  }
}
