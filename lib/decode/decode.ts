import { InvalidConfigurationError } from "../errors.ts";

/**
 * Small decoders from which the reading of config.json is put together. Each takes a value and its
 * JSON path, and either returns typed data or throws an error that names the path, what was found
 * and what is allowed.
 */
export type Reader<T> = (value: unknown, path: string) => T;

/** Deepest nesting of a section that is kept as it stands (seccomp, network). */
const maximumRawDepth = 32;

/**
 * The properties of one JSON object. `null` counts as absent, because Go writes unset pointers,
 * slices and maps that way.
 */
export class Fields {
  readonly #object: Record<string, unknown>;
  readonly #path: string;

  /**
   * @param value what must be a JSON object
   * @param path its JSON path, empty for the whole document
   */
  constructor(value: unknown, path: string) {
    this.#object = objectAt(value, path);
    this.#path = path;
  }

  /** The property, which must be there. */
  required<T>(key: string, read: Reader<T>): T {
    const path = childPath(this.#path, key);
    const value = this.#object[key];
    if (value === undefined || value === null) {
      throw new InvalidConfigurationError({
        operation: "read config.json",
        subject: path,
        reason: "it is missing, and required",
      });
    }
    return read(value, path);
  }

  /** The property, or undefined when it is absent. */
  optional<T>(key: string, read: Reader<T>): T | undefined {
    const value = this.#object[key];
    if (value === undefined || value === null) return undefined;
    return read(value, childPath(this.#path, key));
  }

  /** A string property; the empty string counts as absent, as Go's `omitempty` has it. */
  optionalText(key: string, read: Reader<string> = text): string | undefined {
    return this.#object[key] === "" ? undefined : this.optional(key, read);
  }

  /** The JSON path of a property. */
  pathOf(key: string): string {
    return childPath(this.#path, key);
  }

  /** The elements of an array property; none when it is absent. */
  list<T>(key: string, read: Reader<T>): T[] {
    return this.optional(key, listOf(read)) ?? [];
  }

  /** An object whose values are all strings; empty when it is absent. */
  textRecord(key: string): Record<string, string> {
    return this.optional(key, textRecord) ?? {};
  }

  /** An object of which nothing is known but that it is one; empty when it is absent. */
  section(key: string): Fields {
    return this.optional(key, (value, path) => new Fields(value, path)) ??
      new Fields({}, childPath(this.#path, key));
  }
}

/** An array whose elements `read` accepts. */
export function listOf<T>(read: Reader<T>): Reader<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw invalid(path, describe(value), "an array");
    return value.map((element, index) => read(element, `${path}[${index}]`));
  };
}

/** A string that can become a C string: no NUL byte, and no half of a surrogate pair. */
export function text(value: unknown, path: string): string {
  if (typeof value !== "string") throw invalid(path, describe(value), "a string");
  if (value.includes("\0")) throw invalid(path, "a string with a NUL byte", "none");
  if (!value.isWellFormed()) {
    throw invalid(path, "half of a surrogate pair", "a string that UTF-8 can carry");
  }
  return value;
}

/** A string that is not empty. */
export function nonEmptyText(value: unknown, path: string): string {
  const string = text(value, path);
  if (string === "") throw invalid(path, "an empty string", "at least one character");
  return string;
}

/** A path that begins with `/`. */
export function absolutePath(value: unknown, path: string): string {
  const string = text(value, path);
  if (!string.startsWith("/")) throw invalid(path, describe(string), "an absolute path");
  return string;
}

/** `NAME=VALUE`, with a name. */
export function environmentEntry(value: unknown, path: string): string {
  const string = text(value, path);
  if (string.indexOf("=") < 1) throw invalid(path, describe(string), "NAME=VALUE");
  return string;
}

/** One of the strings in `allowed`. */
export function oneOf<T extends string>(allowed: readonly T[]): Reader<T> {
  return (value, path) => {
    const found = allowed.find((candidate) => candidate === value);
    if (found === undefined) throw invalid(path, describe(value), allowed.join(", "));
    return found;
  };
}

/** `true` or `false`. */
export function boolean(value: unknown, path: string): boolean {
  if (typeof value !== "boolean") throw invalid(path, describe(value), "true or false");
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
): Reader<number> {
  return (value, path) => {
    if (
      typeof value !== "number" || !Number.isInteger(value) || value < minimum || value > maximum
    ) {
      throw invalid(path, describe(value), allowed);
    }
    return value;
  };
}

/**
 * A user or group id. 4294967295 is (uid_t)-1, which setresuid(2) and chown(2) take for "leave as
 * it is": a container asking for it would keep the caller's identity.
 */
export const id: Reader<number> = integer(0, 2 ** 32 - 2);

/**
 * A signed 64-bit number. Above 2^53 a double is not exact, and the largest int64 reads as 2^63:
 * limits of that size all mean "none", so they are let through.
 */
export const int64: Reader<number> = integer(-(2 ** 63), 2 ** 63, "a whole number of 64 bits");

/** An unsigned 64-bit number; see {@linkcode int64} for the exactness. */
export const uint64: Reader<number> = integer(
  0,
  2 ** 64,
  "a whole number of 64 bits, not negative",
);

/** An object whose values are all strings. */
function textRecord(value: unknown, path: string): Record<string, string> {
  // fromEntries defines own properties, so that a key `__proto__` stays a key like any other.
  return Object.fromEntries(
    Object.entries(objectAt(value, path)).map((
      [key, element],
    ) => [text(key, path), text(element, childPath(path, key))]),
  );
}

/**
 * An object kept as it stands. Its depth is bounded, because printing or walking it later
 * so recursively.
 */
export function rawObject(value: unknown, path: string): Record<string, unknown> {
  const object = objectAt(value, path);
  if (isDeeperThan(object, maximumRawDepth)) {
    throw invalid(path, "deep nesting", `at most ${maximumRawDepth} levels`);
  }
  return object;
}

/**
 * The error for a value of config.json.
 *
 * @param path JSON path, empty for the whole document
 * @param found what stands there, as {@linkcode describe} says it
 * @param allowed what may stand there
 */
export function invalid(path: string, found: string, allowed: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read config.json",
    subject: path === "" ? undefined : path,
    reason: `found ${found}, allowed: ${allowed}`,
  });
}

/** A value abbreviated for an error message. */
export function describe(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  if (typeof value !== "string") return `the ${typeof value} ${value}`;
  const start = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return `the string ${JSON.stringify(start)}`;
}

/** `parent.key`, or `parent["key"]` when the key is not a plain identifier. */
export function childPath(parent: string, key: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,119}$/.test(key)) {
    const start = key.length > 120 ? `${key.slice(0, 120)}…` : key;
    return `${parent}[${JSON.stringify(start)}]`;
  }
  return parent === "" ? key : `${parent}.${key}`;
}

function objectAt(value: unknown, path: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw invalid(path, describe(value), "an object");
  }
  return value as Record<string, unknown>;
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((element) => isDeeperThan(element, depth - 1));
}
