import { InvalidConfigurationError } from "../errors.ts";

/** Where a value comes from: annotations may be plain, `/urunc.json` is always base64. */
export type Source = "annotation" | "file";

/** The syntax of a key's values. */
export interface Grammar {
  /** What is allowed, for an error. */
  allowed: string;
  /** Whether a value, as the image's author meant it, is well formed. */
  accepts(value: string): boolean;
  /** Whether an annotation's value cannot be base64 of an acceptable value, so must be plain. */
  isPlain(raw: string): boolean;
}

/** One of the known words, or at least something that looks like one. */
export function word(known: readonly string[]): Grammar {
  return {
    allowed: known.join(", "),
    accepts: (value) => /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value),
    isPlain: (raw) => known.includes(raw),
  };
}

/**
 * A path inside the image. A plain one begins with `/`, and base64 of UTF-8 text never does: `/` encodes
 * six one bits, which no byte of UTF-8 begins with. The alphabet excludes `,` and `=`, which a
 * monitor's option parser could misread.
 */
export const imagePath: Grammar = {
  allowed: "a path of A-Z a-z 0-9 . _ / - without .. in it",
  accepts: (value) =>
    /^[A-Za-z0-9._/-]{1,4095}$/.test(value) && !value.split("/").includes("..") &&
    /[^./]/.test(value),
  isPlain: (raw) => raw.startsWith("/"),
};

/** A path in the guest's own file system. */
export const guestPath: Grammar = {
  allowed: "an absolute path of A-Z a-z 0-9 . _ / - without .. in it",
  accepts: (value) => /^\/[A-Za-z0-9._/-]{0,4094}$/.test(value) && !value.split("/").includes(".."),
  isPlain: (raw) => raw.startsWith("/"),
};

/** A device's name in the manifest of a Solo5 guest: MFT_NAME_MAX, include/mft_abi.h. */
export const deviceName: Grammar = {
  allowed: "a device's name, 1 to 67 of A-Z a-z 0-9",
  accepts: (value) => /^[A-Za-z0-9]{1,67}$/.test(value),
  isPlain: () => false,
};

/** Any text. A lone word that happens to be base64 of text is taken for base64. */
export const freeText: Grammar = {
  allowed: "text without control characters",
  // deno-lint-ignore no-control-regex -- refusing them is the point
  accepts: (value) => !/[\x00-\x08\x0b-\x1f\x7f]/.test(value) && value.isWellFormed(),
  isPlain: () => false,
};

/**
 * Decodes a raw value. Older tools write base64 everywhere, newer ones write plain annotations. The
 * rules that distinguish them, in this order:
 *
 * 1. an annotation that cannot be base64 of a valid value for its key (a known name; a path
 *    beginning with `/`) is plain;
 * 2. a value that is strict, canonical base64 of UTF-8 text which is valid for its key is base64;
 * 3. an annotation that is valid for its key as it is, is plain, except a path: a relative one must be
 *    base64;
 * 4. anything else is an error.
 *
 * So a `cmdline` annotation of one word that is base64 of text by chance (`Zm9v`) must itself be
 * written in base64 (`Wm05dg==`); a text with a space or a `-` never is.
 *
 * @param key the whole key, for the error
 * @param raw the value, not empty
 * @throws InvalidConfigurationError naming the key
 */
export function decodeValue(key: string, raw: string, grammar: Grammar, source: Source): string {
  const mayBePlain = source === "annotation";
  if (mayBePlain && grammar.isPlain(raw) && grammar.accepts(raw)) return raw;
  const decoded = decodeBase64(raw);
  if (decoded !== undefined && grammar.accepts(decoded)) return decoded;
  if (mayBePlain && grammar !== imagePath && grammar.accepts(raw)) return raw;
  throw new InvalidConfigurationError({
    operation: "read the unikernel's description",
    subject: key,
    reason: `found ${JSON.stringify(shorten(decoded ?? raw))}, allowed: ${grammar.allowed}`,
    remedy: mayBePlain
      ? grammar === imagePath ? "an absolute path, or any path in base64" : "in plain or in base64"
      : "in base64",
  });
}

/**
 * Decodes base64 (RFC 4648, section 4) of UTF-8 text: padded, without white space, without stray
 * bits, so that a text has exactly one encoding.
 *
 * @returns the text; undefined when it is not that
 */
function decodeBase64(raw: string): string | undefined {
  // The only non-canonical form that `strict` accepts.
  if (/\s/.test(raw)) return undefined;
  try {
    const bytes = Uint8Array.fromBase64(raw, { lastChunkHandling: "strict" });
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

/** Shortens a value, which may be hostile and long, for an error. */
export function shorten(value: string): string {
  return value.length > 80 ? `${value.slice(0, 80)}…` : value;
}
