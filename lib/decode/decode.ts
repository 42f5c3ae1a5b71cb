import type { UruncError } from "../errors.ts";

/**
 * Small decoders from which the reading of config.json, config.toml and state.json is put together.
 * Each takes a value and its place in the document, and either returns typed data or throws an error
 * that names the place, what was found and what is allowed. How the error is worded otherwise, the
 * document says.
 *
 * @module
 */

/** A document that values are decoded from. */
export interface Document {
  /** What its format calls an object of JSON: `a table`, for example; `an object` by default. */
  object?: string;
  /**
   * The error for a value.
   *
   * @param path of the value, as `linux.devices[0].path`; empty for the whole document
   * @param reason what is wrong with it
   * @param remedy what to do about it
   */
  error(path: string, reason: string, remedy?: string): UruncError;
}

/** Where in a document a value is. */
export class Place {
  readonly document: Document;
  readonly path: string;

  /** @param path empty for the whole document */
  constructor(document: Document, path = "") {
    this.document = document;
    this.path = path;
  }

  /** Of a property: `path.key`, or `path["key"]` when the key is not a plain identifier. */
  child(key: string): Place {
    if (!/^[A-Za-z_][A-Za-z0-9_]{0,119}$/.test(key)) {
      const start = key.length > 120 ? `${key.slice(0, 120)}…` : key;
      return new Place(this.document, `${this.path}[${JSON.stringify(start)}]`);
    }
    return new Place(this.document, this.path === "" ? key : `${this.path}.${key}`);
  }

  /** Of an element of an array. */
  element(index: number): Place {
    return new Place(this.document, `${this.path}[${index}]`);
  }

  /** The error for the value that is here. */
  error(reason: string, remedy?: string): UruncError {
    return this.document.error(this.path, reason, remedy);
  }

  /**
   * The error for a value that may not be here.
   *
   * @param found what is here, as {@linkcode describe} says it
   * @param allowed what may be here
   */
  invalid(found: string, allowed: string): UruncError {
    return this.error(`found ${found}, allowed: ${allowed}`);
  }
}

export type Decoder<T> = (value: unknown, at: Place) => T;

/** Deepest nesting of a section that is kept as it stands (seccomp, network). */
const maximumRawDepth = 32;

/**
 * The properties of one object. `null` counts as absent, because Go writes unset pointers, slices and
 * maps that way.
 */
export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #at: Place;
  readonly #asked = new Set<string>();

  /** @param value what must be an object */
  constructor(value: unknown, at: Place) {
    this.#object = objectAt(value, at);
    this.#at = at;
  }

  /** Those of a document of JSON: an object. */
  static ofJson(text: string, at: Place): Fields {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      throw at.error("it is not JSON");
    }
    return new Fields(value, at);
  }

  /** The property, which must be there. */
  required<T>(key: string, decode: Decoder<T>): T {
    const value = this.#get(key);
    if (value === undefined) throw this.at(key).error("required, but missing");
    return decode(value, this.at(key));
  }

  /** The property, or undefined when it is absent. */
  optional<T>(key: string, decode: Decoder<T>): T | undefined {
    const value = this.#get(key);
    return value === undefined ? undefined : decode(value, this.at(key));
  }

  /** A string property; the empty string counts as absent, as Go's `omitempty` has it. */
  optionalText(key: string, decode: Decoder<string> = text): string | undefined {
    return this.#get(key) === "" ? undefined : this.optional(key, decode);
  }

  /** Where a property is. */
  at(key: string): Place {
    return this.#at.child(key);
  }

  /** The elements of an array property; none when it is absent. */
  list<T>(key: string, decode: Decoder<T>): T[] {
    return this.optional(key, listOf(decode)) ?? [];
  }

  /** An object whose values are all strings; empty when it is absent. */
  textRecord(key: string): Record<string, string> {
    return this.optional(key, textRecord) ?? {};
  }

  /** An object of which nothing is known but that it is one; empty when it is absent. */
  section(key: string): Fields {
    return new Fields(this.#get(key) ?? {}, this.at(key));
  }

  /** A property that was not asked for, and those that were; undefined: there is none. */
  unknown(): { at: Place; key: string; known: string[] } | undefined {
    const key = Object.keys(this.#object).find((it) => !this.#asked.has(it));
    return key === undefined ? undefined : { at: this.at(key), key, known: [...this.#asked] };
  }

  #get(key: string): unknown {
    this.#asked.add(key);
    return Object.hasOwn(this.#object, key) ? this.#object[key] ?? undefined : undefined;
  }
}

/** An array whose elements `decode` accepts. */
export function listOf<T>(decode: Decoder<T>): Decoder<T[]> {
  return (value, at) => {
    if (!Array.isArray(value)) throw at.invalid(describe(value), "an array");
    return value.map((element, index) => decode(element, at.element(index)));
  };
}

/** A string that can become a C string: no NUL byte, and no half of a surrogate pair. */
export function text(value: unknown, at: Place): string {
  if (typeof value !== "string") throw at.invalid(describe(value), "a string");
  if (value.includes("\0")) throw at.invalid("a string with a NUL byte", "none");
  if (!value.isWellFormed()) {
    throw at.invalid("half of a surrogate pair", "a string that UTF-8 can carry");
  }
  return value;
}

/** A string that is not empty. */
export function nonEmptyText(value: unknown, at: Place): string {
  const string = text(value, at);
  if (string === "") throw at.invalid("an empty string", "at least one character");
  return string;
}

/** A path that begins with `/`. */
export function absolutePath(value: unknown, at: Place): string {
  const string = text(value, at);
  if (!string.startsWith("/")) throw at.invalid(describe(string), "an absolute path");
  return string;
}

/** `NAME=VALUE`, with a name. */
export function environmentEntry(value: unknown, at: Place): string {
  const string = text(value, at);
  if (string.indexOf("=") < 1) throw at.invalid(describe(string), "NAME=VALUE");
  return string;
}

/** One of the strings in `allowed`. */
export function oneOf<T extends string>(allowed: readonly T[]): Decoder<T> {
  return (value, at) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw at.invalid(describe(value), allowed.join(", "));
    return found;
  };
}

/** `true` or `false`. */
export function boolean(value: unknown, at: Place): boolean {
  if (typeof value !== "boolean") throw at.invalid(describe(value), "true or false");
  return value;
}

/**
 * A whole number from `minimum` to `maximum`, both included.
 *
 * @param allowed the same as text, where the numbers are too long to read
 */
export function integer(
  minimum: number,
  maximum: number,
  allowed = `a whole number from ${minimum} to ${maximum}`,
): Decoder<number> {
  return (value, at) => {
    if (
      typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum
    ) {
      throw at.invalid(describe(value), allowed);
    }
    return value;
  };
}

/**
 * A user or group id. 4294967295 is (uid_t)-1, which setresuid(2) and chown(2) take for "leave as
 * it is": a container asking for it would keep the caller's identity.
 */
export const id: Decoder<number> = integer(0, 2 ** 32 - 2);

/**
 * A signed 64-bit number. Above 2^53 a double is not exact, and the largest int64 reads as 2^63:
 * limits of that size all mean "none", so they are let through.
 */
export const int64: Decoder<number> = integer(-(2 ** 63), 2 ** 63, "a whole number of 64 bits");

/** An unsigned 64-bit number; see {@linkcode int64} for the exactness. */
export const uint64: Decoder<number> = integer(
  0,
  2 ** 64,
  "a whole number of 64 bits, not negative",
);

/** An object whose values are all strings. */
function textRecord(value: unknown, at: Place): Record<string, string> {
  // fromEntries defines own properties, so that a key `__proto__` stays a key like any other.
  return Object.fromEntries(
    Object.entries(objectAt(value, at)).map((
      [key, element],
    ) => [text(key, at), text(element, at.child(key))]),
  );
}

/**
 * An object kept as it stands. Its depth is bounded, because printing or walking it later
 * so recursively.
 */
export function rawObject(value: unknown, at: Place): Record<string, unknown> {
  const object = objectAt(value, at);
  if (isDeeperThan(object, maximumRawDepth)) {
    throw at.invalid("deep nesting", `at most ${maximumRawDepth} levels`);
  }
  return object;
}

/** A value abbreviated for an error message. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  // A value of TOML.
  if (value instanceof Date) return "a date";
  if (typeof value === "object") return "an object";
  if (typeof value !== "string") return `the ${typeof value} ${value}`;
  const start = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return `the string ${JSON.stringify(start)}`;
}

function objectAt(value: unknown, at: Place): Record<string, unknown> {
  if (
    typeof value !== "object" || value === null || Array.isArray(value) || value instanceof Date
  ) {
    throw at.invalid(describe(value), at.document.object ?? "an object");
  }
  return value as Record<string, unknown>;
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((element) => isDeeperThan(element, depth - 1));
}
