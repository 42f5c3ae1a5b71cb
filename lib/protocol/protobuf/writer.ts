import { WireType } from "./reader.ts";

const utf8 = new TextEncoder();

/** Writes the wire format into a buffer that grows. */
export class Writer {
  #bytes = new Uint8Array(128);
  #size = 0;

  /** What was written; a view. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#size);
  }

  tag(number: number, wireType: number): void {
    this.varint((number << 3 | wireType) >>> 0);
  }

  /** @param value from 0 to 2**53 - 1 */
  varint(value: number): void {
    this.#reserve(10);
    while (value >= 0x80) {
      this.#bytes[this.#size++] = value % 0x80 | 0x80;
      value = Math.floor(value / 0x80);
    }
    this.#bytes[this.#size++] = value;
  }

  /** @param value is cut to 64 bits; negative ones take ten bytes */
  varint64(value: bigint): void {
    this.#reserve(10);
    let rest = BigInt.asUintN(64, value);
    while (rest >= 0x80n) {
      this.#bytes[this.#size++] = Number(rest & 0x7fn) | 0x80;
      rest >>= 7n;
    }
    this.#bytes[this.#size++] = Number(rest);
  }

  /** A length and the bytes. */
  delimited(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#size);
    this.#size += bytes.length;
  }

  /** A length and the text's bytes; invalid UTF-16 becomes U+FFFD. */
  string(text: string): void {
    this.delimited(utf8.encode(text));
  }

  /** A field that is a message, or packed numbers. */
  nested(number: number, write: (writer: Writer) => void): void {
    const inner = new Writer();
    write(inner);
    this.tag(number, WireType.bytes);
    this.delimited(inner.finish());
  }

  #reserve(size: number): void {
    const needed = this.#size + size;
    if (needed <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = larger;
  }
}
