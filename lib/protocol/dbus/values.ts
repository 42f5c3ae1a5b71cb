import { HostError } from "../../errors.ts";

/**
 * A value of D-Bus: `y n q i u` and `b` are numbers and booleans, `x t` bigints, `s o g` strings,
 * `v` a Variant, structures, dictionary entries and arrays lists, but for `ay`, which is bytes.
 */
export type Value = number | bigint | boolean | string | Uint8Array | Variant | Value[];

/** A value that brings its type along. */
export interface Variant {
  /** Signature of one complete type. */
  signature: string;
  value: Value;
}

/** One complete type, parsed. */
export interface Type {
  /** The letter: `(` for a structure, `{` for a dictionary entry, `a` for an array. */
  code: string;
  /** Of a structure or dictionary entry its fields, of an array its element. */
  items: Type[];
}

/** Bytes of the types whose size does not depend on the value; each is aligned to its size. */
export const FIXED_SIZES: Record<string, number> = {
  y: 1,
  b: 4,
  n: 2,
  q: 2,
  i: 4,
  u: 4,
  x: 8,
  t: 8,
  d: 8,
  h: 4,
};

/** Limits of the specification: nesting of arrays, and of structures; length of a signature. */
const MAXIMUM_NESTING = 32;
const MAXIMUM_SIGNATURE = 255;

/**
 * The error for bytes that are not a message, and for values that do not fit their type.
 *
 * @param reason sentence fragment
 */
export function malformed(reason: string): HostError {
  return new HostError({ operation: "understand message of D-Bus", reason });
}

/**
 * Parses a signature into its complete types.
 *
 * @throws HostError when it is not one
 * @see D-Bus specification, "Type System"
 */
export function parseSignature(signature: string): Type[] {
  if (signature.length > MAXIMUM_SIGNATURE) throw malformed("a signature is too long");
  let position = 0;
  const next = (arrays: number, structures: number): Type => {
    const code = signature[position++];
    if (code === undefined) {
      throw malformed(`the signature ${JSON.stringify(signature)} ends early`);
    }
    if (arrays > MAXIMUM_NESTING || structures > MAXIMUM_NESTING) {
      throw malformed("a type is nested too deeply");
    }
    if (code === "a") {
      return { code, items: [next(arrays + 1, structures)] };
    }
    const end = code === "(" ? ")" : code === "{" ? "}" : undefined;
    if (end !== undefined) {
      const items: Type[] = [];
      while (signature[position] !== end) items.push(next(arrays, structures + 1));
      position++;
      if (items.length === 0 || (code === "{" && items.length !== 2)) {
        throw malformed(`the signature ${JSON.stringify(signature)} has a structure of no use`);
      }
      return { code, items };
    }
    if (!Object.hasOwn(FIXED_SIZES, code) && !"sogv".includes(code)) {
      throw malformed(`the signature ${JSON.stringify(signature)} has no type ${code}`);
    }
    return { code, items: [] };
  };
  const types: Type[] = [];
  while (position < signature.length) types.push(next(0, 0));
  return types;
}

/** What an address of a value of this type is a multiple of, counted from the message's start. */
export function alignmentOf({ code }: Type): number {
  if (code === "(" || code === "{") return 8;
  if (code === "g" || code === "v") return 1;
  return FIXED_SIZES[code] ?? 4;
}
