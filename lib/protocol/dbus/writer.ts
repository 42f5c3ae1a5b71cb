import { alignmentOf, FIXED_SIZES, malformed, parseSignature, type Type } from "./values.ts";
import type { Value, Variant } from "./values.ts";

/**
 * Marshals values, little-endian.
 *
 * @see D-Bus specification, "Marshaling (Wire Format)"
 */
export class Writer {
  #bytes = new Uint8Array(256);
  #length = 0;

  /** What was written so far. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** @throws HostError when the values are not of these types */
  write(signature: string, values: Value[]): void {
    const types = parseSignature(signature);
    if (types.length !== values.length) {
      throw malformed(`${values.length} values for the signature ${signature}`);
    }
    types.forEach((type, index) => this.#value(type, values[index]!));
  }

  /** Fills up with zeros to a multiple of `alignment`. */
  align(alignment: number): void {
    this.#reserve((alignment - this.#length % alignment) % alignment);
  }

  /** Appends bytes that are marshalled already. */
  append(bytes: Uint8Array): void {
    const start = this.#reserve(bytes.length);
    this.#bytes.set(bytes, start);
  }

  #value(type: Type, value: Value): void {
    this.align(alignmentOf(type));
    if (Object.hasOwn(FIXED_SIZES, type.code)) return this.#number(type.code, value);
    if (type.code === "a") return this.#array(type.items[0]!, value);
    if (type.code === "(" || type.code === "{") return this.#structure(type, value);
    if (type.code === "v") return this.#variant(value);
    if (typeof value !== "string") throw mismatch(type.code, value);
    if (type.code === "g") parseSignature(value);
    this.#text(type.code, value);
  }

  #number(code: string, value: Value): void {
    const size = FIXED_SIZES[code]!;
    const wide = size === 8 && code !== "d";
    const actual = typeof value;
    const expected = code === "b" ? "boolean" : wide ? "bigint" : "number";
    if (actual !== expected) throw mismatch(code, value);
    const start = this.#reserve(size);
    const view = new DataView(this.#bytes.buffer);
    if (code === "d") return view.setFloat64(start, value as number, true);
    const integer = BigInt(value as number | bigint | boolean);
    const signed = "nix".includes(code);
    const fits = signed ? BigInt.asIntN(size * 8, integer) : BigInt.asUintN(size * 8, integer);
    if (fits !== integer) throw mismatch(code, value);
    for (let index = 0; index < size; index++) {
      this.#bytes[start + index] = Number((integer >> BigInt(8 * index)) & 0xffn);
    }
  }

  #text(code: string, value: string): void {
    // A NUL would end the text for the other side, and what it reads were something else.
    if (value.includes("\0")) throw malformed(`a text holds NUL: ${JSON.stringify(value)}`);
    const encoded = new TextEncoder().encode(value);
    this.#number(code === "g" ? "y" : "u", encoded.length);
    this.append(encoded);
    this.#reserve(1);
  }

  #structure(type: Type, value: Value): void {
    if (!Array.isArray(value) || value.length !== type.items.length) {
      throw mismatch(type.code, value);
    }
    type.items.forEach((item, index) => this.#value(item, value[index]!));
  }

  #array(element: Type, value: Value): void {
    const lengthAt = this.#reserve(4);
    this.align(alignmentOf(element));
    const start = this.#length;
    if (value instanceof Uint8Array && element.code === "y") this.append(value);
    else if (Array.isArray(value)) value.forEach((item) => this.#value(element, item));
    else throw mismatch(`a${element.code}`, value);
    new DataView(this.#bytes.buffer).setUint32(lengthAt, this.#length - start, true);
  }

  #variant(value: Value): void {
    if (!isVariant(value)) throw mismatch("v", value);
    this.write("g", [value.signature]);
    this.write(value.signature, [value.value]);
  }

  /** Makes room, zeroed, and returns where it starts. */
  #reserve(count: number): number {
    const start = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return start;
  }
}

function isVariant(value: Value): value is Variant {
  return typeof value === "object" && "signature" in value;
}

function mismatch(code: string, value: Value): Error {
  const text = typeof value === "object" ? "an object" : `${typeof value} ${value}`;
  return malformed(`${text} is not of the type ${code}`);
}
