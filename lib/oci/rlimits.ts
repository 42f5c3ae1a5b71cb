import { type Decoder, describe, Fields, oneOf, type Place } from "../decode/decode.ts";
import { configJson } from "./config_json.ts";
import type { Process, Rlimit } from "./types.ts";

/** @see getrlimit(2), and include/uapi/asm-generic/resource.h */
const rlimitTypes = [
  "RLIMIT_AS",
  "RLIMIT_CORE",
  "RLIMIT_CPU",
  "RLIMIT_DATA",
  "RLIMIT_FSIZE",
  "RLIMIT_LOCKS",
  "RLIMIT_MEMLOCK",
  "RLIMIT_MSGQUEUE",
  "RLIMIT_NICE",
  "RLIMIT_NOFILE",
  "RLIMIT_NPROC",
  "RLIMIT_RSS",
  "RLIMIT_RTPRIO",
  "RLIMIT_RTTIME",
  "RLIMIT_SIGPENDING",
  "RLIMIT_STACK",
] as const;

const largest = 2n ** 64n - 1n;

/** Reads one element of `process.rlimits`. */
export function readRlimit(value: unknown, at: Place): Rlimit {
  const rlimit = new Fields(value, at);
  return {
    type: rlimit.required("type", oneOf(rlimitTypes)),
    soft: rlimit.required("soft", limit),
    hard: rlimit.required("hard", limit),
  };
}

/**
 * RLIM_INFINITY is 2^64-1, which a JavaScript number rounds to 2^64. Where a limit is that large,
 * the document is parsed once more with the limits taken from the source text; other documents
 * (nearly all) are spared the cost.
 *
 * @param text the JSON text of config.json
 * @param document what JSON.parse made of it
 * @returns the document with large `soft` and `hard` values as bigint
 */
export function withExactRlimits(text: string, document: unknown): unknown {
  if (!hasLargeRlimit(document)) return document;
  try {
    return JSON.parse(text, exactLimit);
  } catch {
    // With a reviver JSON.parse recurses, and a document of absurd depth exhausts the stack.
    throw configJson().invalid("deep nesting", "far less of it");
  }
}

function exactLimit(key: string, value: unknown, context?: { source?: string }): unknown {
  if ((key !== "soft" && key !== "hard") || typeof value !== "number") return value;
  const source = context?.source ?? "";
  return /^\d{1,30}$/.test(source) ? BigInt(source) : value;
}

function hasLargeRlimit(document: unknown): boolean {
  const rlimits = (document as { process?: { rlimits?: unknown } } | null)?.process?.rlimits;
  if (!Array.isArray(rlimits)) return false;
  return rlimits.some((it) => isLarge(it?.soft) || isLarge(it?.hard));
}

function isLarge(value: unknown): boolean {
  return typeof value === "number" && value > Number.MAX_SAFE_INTEGER;
}

const limit: Decoder<bigint> = (value, at) => {
  const exact = typeof value === "number" && Number.isSafeInteger(value) ? BigInt(value) : value;
  if (typeof exact !== "bigint" || exact < 0n || exact > largest) {
    throw at.invalid(describe(value), `a whole number from 0 to ${largest}`);
  }
  return exact;
};

/** config.md, "POSIX process": a duplicate type must be an error; setrlimit(2) has soft ≤ hard. */
export function checkRlimits(
  { process: { rlimits } }: { process: Pick<Process, "rlimits"> },
): void {
  const types = rlimits.map(({ type }) => type);
  rlimits.forEach(({ type, soft, hard }, index) => {
    if (types.indexOf(type) !== index) {
      throw configJson(`process.rlimits[${index}].type`).invalid(`${type} again`, "each type once");
    }
    if (soft > hard) {
      throw configJson(`process.rlimits[${index}].soft`).invalid(
        `${soft}`,
        `at most hard, which is ${hard}`,
      );
    }
  });
}
