import { alignmentOf, FIXED_SIZES, malformed, parseSignature, type Type } from "./values.ts";
import type { Value } from "./values.ts";

/** A variant in a variant and so on: the specification's limit for a message's whole nesting. */
const MAXIMUM_VARIANTS = 64;

/**
 * Unmarshals values. Trusts nothing: whatever the bytes are, it returns values or throws HostError,
 * and what it makes is not much larger than they are.
 *
 * @see D-Bus specification, "Marshaling (Wire Format)"
 */
export class Reader {
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  #position: number;
  #variants = 0;

  /**
   * @param bytes alignment counts from their start
   * @param position where to begin
   */
  constructor(bytes: Uint8Array, littleEndian: boolean, position = 0) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#littleEndian = littleEndian;
    this.#position = position;
  }

  /** Where the next value, or the padding before it, is. */
  get position(): number {
    return this.#position;
  }

  /** @throws HostError when the bytes are not of these types, or too few */
  read(signature: string): Value[] {
    return parseSignature(signature).map((type) => this.#value(type));
  }

  /** Goes to a multiple of `alignment`. Padding must be zero. */
  align(alignment: number): void {
    while (this.#position % alignment !== 0) {
      if (this.#view.getUint8(this.#take(1)) !== 0) throw malformed("padding is not zero");
    }
  }

  #value(type: Type): Value {
    this.align(alignmentOf(type));
    switch (type.code) {
      case "s":
      case "o":
        return this.#text(this.#number("u") as number);
      case "g":
        return this.#text(this.#number("y") as number);
      case "v":
        return this.#variant();
      case "a":
        return this.#array(type.items[0]!);
      case "(":
      case "{":
        return type.items.map((item) => this.#value(item));
      default:
        return this.#number(type.code);
    }
  }

  #number(code: string): number | bigint | boolean {
    const view = this.#view;
    const little = this.#littleEndian;
    const at = this.#take(FIXED_SIZES[code]!);
    switch (code) {
      case "y":
        return view.getUint8(at);
      case "n":
        return view.getInt16(at, little);
      case "q":
        return view.getUint16(at, little);
      case "i":
        return view.getInt32(at, little);
      case "x":
        return view.getBigInt64(at, little);
      case "t":
        return view.getBigUint64(at, little);
      case "d":
        return view.getFloat64(at, little);
    }
    const value = view.getUint32(at, little);
    if (code !== "b") return value;
    if (value > 1) throw malformed(`${value} is not a boolean`);
    return value === 1;
  }

  #text(length: number): string {
    const bytes = this.#bytes(length);
    if (bytes.includes(0)) throw malformed("a text holds NUL");
    if (this.#view.getUint8(this.#take(1)) !== 0) throw malformed("a text does not end");
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw malformed("a text is not UTF-8");
    }
  }

  #array(element: Type): Value {
    const length = this.#number("u") as number;
    this.align(alignmentOf(element));
    if (element.code === "y") return this.#bytes(length).slice();
    const end = this.#position + length;
    if (end > this.#view.byteLength) throw malformed("an array is longer than the message");
    const values: Value[] = [];
    while (this.#position < end) values.push(this.#value(element));
    if (this.#position !== end) throw malformed("an array ends within an element");
    return values;
  }

  #variant(): Value {
    const signature = this.#text(this.#number("y") as number);
    const types = parseSignature(signature);
    if (types.length !== 1) throw malformed("a variant is not of one type");
    if (++this.#variants > MAXIMUM_VARIANTS) throw malformed("variants are nested too deeply");
    const value = this.#value(types[0]!);
    this.#variants--;
    return { signature, value };
  }

  #bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length);
  }

  #take(count: number): number {
    const at = this.#position;
    if (count > this.#view.byteLength - at) throw malformed("it ends too early");
    this.#position += count;
    return at;
  }
}
