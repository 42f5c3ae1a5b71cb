import { arch } from "../arch/arch.ts";
import {
  and,
  answer,
  type Code,
  encodeClassic,
  ifAtLeast,
  ifEqual,
  loadWord,
} from "../protocol/bpf/classic.ts";
import { ABSENT_CALLS, callNumber, callNumbers, FATAL_CALLS } from "./calls.ts";
import type { CallRules, Clause } from "./rules.ts";
import type { Condition, FilterMode } from "./types.ts";

/** struct seccomp_data, linux/seccomp.h: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. */
export const NUMBER = 0;
export const ARCHITECTURE = 4;
export const ARGUMENTS = 16;
export const ARGUMENT_SIZE = 8;

/** SECCOMP_RET_*, linux/seccomp.h; errnos of asm-generic/errno.h. */
const ALLOW = 0x7fff_0000;
const LOG = 0x7ffc_0000;
const KILL_PROCESS = 0x8000_0000;
const ERRNO = 0x0005_0000;
export const EPERM = 1;
export const ENOSYS = 38;

/** So few values are compared one by one. */
const FEW = 8;

/** Code for the numbers from one on, up to where the next range begins. */
export interface Range {
  from: number;
  code: Code;
}

/**
 * A seccomp filter: calls of the rules are allowed, and the mode says what becomes of others. Calls of
 * other kinds of programs are others, whatever their numbers.
 *
 * The search is binary, and one range has all neighbours with the same result: the kernel tries every
 * number out when a filter is installed, to remember those that it always allows (seccomp_cache_prepare(),
 * kernel/seccomp.c).
 *
 * @param omitted names of calls that are not made and return 0, where no rule is about them
 * @returns struct sock_filter, one after the other
 * @throws {TypeError} when a rule is about a call that there is not
 * @see seccomp(2)
 */
export function filterProgram(
  rules: CallRules,
  mode: FilterMode,
  omitted: readonly string[] = [],
): Uint8Array<ArrayBuffer> {
  const results = resultsOf(mode);
  const codes = new Map<number, Code>();
  for (const number of callNumbers().values()) codes.set(number, results.refused);
  for (const name of FATAL_CALLS) codes.set(callNumber(name), results.fatal);
  for (const name of ABSENT_CALLS) codes.set(callNumber(name), results.absent);
  for (const name of omitted) codes.set(callNumber(name), results.omitted);
  for (const [name, clauses] of rules) {
    codes.set(callNumber(name), oneOf(clauses, results.allowed, results.refused));
  }
  const end = [{ from: arch.calls.foreignFrom, code: results.fatal }];
  const native = [loadWord(NUMBER), ...byNumber(codes, results.unknown, end)];
  return encodeClassic([
    loadWord(ARCHITECTURE),
    ...ifEqual(arch.calls.auditArchitecture, native, results.fatal),
  ]);
}

/**
 * Code for each number of a system call, which has been loaded.
 *
 * @param otherwise for those that have none
 * @param further for numbers far above all of them
 */
export function byNumber(
  codes: ReadonlyMap<number, Code>,
  otherwise: Code,
  further: readonly Range[],
): Code {
  return search([...ranges(codes, otherwise), ...further]);
}

function resultsOf(mode: FilterMode) {
  const refusal = (usual: number): Code => {
    return [answer({ on: usual, log: LOG, strict: KILL_PROCESS }[mode])];
  };
  return {
    allowed: [answer(ALLOW)],
    refused: refusal(ERRNO | EPERM),
    unknown: refusal(ERRNO | ENOSYS),
    fatal: refusal(KILL_PROCESS),
    absent: [answer(ERRNO | ENOSYS)],
    // SECCOMP_RET_ERRNO of no error.
    omitted: [answer(ERRNO)],
  };
}

/** From 0 on without gaps; neighbours with the same code are one. */
function ranges(codes: ReadonlyMap<number, Code>, otherwise: Code): Range[] {
  const result: Range[] = [];
  const last = Math.max(...codes.keys());
  for (let from = 0; from <= last + 1; from++) {
    const code = codes.get(from) ?? otherwise;
    if (result.at(-1)?.code !== code) result.push({ from, code });
  }
  return result;
}

function search(ranges: Range[]): Code {
  if (ranges.length === 1) return ranges[0]!.code;
  const middle = ranges.length >> 1;
  const [low, high] = [ranges.slice(0, middle), ranges.slice(middle)];
  return ifAtLeast(high[0]!.from, search(high), search(low));
}

function oneOf(clauses: readonly Clause[], then: Code, otherwise: Code): Code {
  // The very same code for every call without conditions, so that neighbours are one range.
  if (clauses.some((clause) => clause.length === 0)) return then;
  return clauses.reduceRight((rest, clause) => allOf(clause, then, rest), otherwise);
}

function allOf([first, ...others]: Clause, then: Code, otherwise: Code): Code {
  if (first === undefined) return then;
  return condition(first, allOf(others, then, otherwise), otherwise);
}

function condition(condition: Condition, then: Code, otherwise: Code): Code {
  // The lower half: the processors that we have are little-endian.
  const load = loadWord(ARGUMENTS + condition.argument * ARGUMENT_SIZE);
  if ("mask" in condition) {
    return [load, and(condition.mask), ...ifEqual(condition.equals, then, otherwise)];
  }
  const values = [...new Set(condition.among.map((value) => value >>> 0))].sort((a, b) => a - b);
  return [load, ...among(values, then, otherwise)];
}

/** @param values ascending */
function among(values: number[], then: Code, otherwise: Code): Code {
  if (values.length <= FEW) {
    return values.reduceRight<Code>((rest, value) => ifEqual(value, then, rest), otherwise);
  }
  const middle = values.length >> 1;
  const [low, high] = [values.slice(0, middle), values.slice(middle)];
  return ifAtLeast(high[0]!, among(high, then, otherwise), among(low, then, otherwise));
}
