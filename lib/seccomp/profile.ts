import { arch } from "../arch/arch.ts";
import {
  and,
  answer,
  type ClassicInstruction,
  type Code,
  encodeClassic,
  ifEqual,
  jumpIfAtLeast,
  jumpIfEqual,
  loadWord,
  LONGEST_JUMP,
} from "../protocol/bpf/classic.ts";
import { callNumbers, numbersIn } from "./calls.ts";
import {
  ARCHITECTURE,
  ARGUMENT_SIZE,
  ARGUMENTS,
  byNumber,
  ENOSYS,
  EPERM,
  NUMBER,
} from "./program.ts";

/** `linux.seccomp` of config.json: config-linux.md, "Seccomp". Its names are libseccomp's. */
export interface SeccompProfile {
  defaultAction: SeccompAction;
  defaultErrnoRet?: number;
  architectures: string[];
  flags: SeccompFlag[];
  /** Of who answers in place of the kernel: SCMP_ACT_NOTIFY. */
  listenerPath?: string;
  syscalls: SeccompRule[];
}

/** What becomes of some calls. */
export interface SeccompRule {
  names: string[];
  action: SeccompAction;
  errnoRet?: number;
  args: SeccompArgument[];
}

/** What one argument must be. */
export interface SeccompArgument {
  /** From 0 on. */
  index: number;
  /** The mask of SCMP_CMP_MASKED_EQ. */
  value: bigint;
  /** What is left by that mask. */
  valueTwo: bigint;
  op: SeccompOperator;
}

/** SECCOMP_RET_* of linux/seccomp.h. Those below SCMP_ACT_ALLOW that take a number have it in their lower half. */
const ACTIONS = {
  SCMP_ACT_KILL: 0,
  SCMP_ACT_KILL_THREAD: 0,
  SCMP_ACT_KILL_PROCESS: 0x8000_0000,
  SCMP_ACT_TRAP: 0x0003_0000,
  SCMP_ACT_ERRNO: 0x0005_0000,
  SCMP_ACT_NOTIFY: 0x7fc0_0000,
  SCMP_ACT_TRACE: 0x7ff0_0000,
  SCMP_ACT_LOG: 0x7ffc_0000,
  SCMP_ACT_ALLOW: 0x7fff_0000,
} as const;

export type SeccompAction = keyof typeof ACTIONS;
export const SECCOMP_ACTIONS = Object.keys(ACTIONS) as SeccompAction[];

/** SECCOMP_FILTER_FLAG_* of linux/seccomp.h. Of a program that has one thread, TSYNC means nothing. */
const FLAGS = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: 0,
} as const;

export type SeccompFlag = keyof typeof FLAGS;
export const SECCOMP_FLAGS = Object.keys(FLAGS) as SeccompFlag[];

export const SECCOMP_OPERATORS = [
  "SCMP_CMP_NE",
  "SCMP_CMP_LT",
  "SCMP_CMP_LE",
  "SCMP_CMP_EQ",
  "SCMP_CMP_GE",
  "SCMP_CMP_GT",
  "SCMP_CMP_MASKED_EQ",
] as const;

export type SeccompOperator = typeof SECCOMP_OPERATORS[number];

/** Of an argument of a system call. */
const LARGEST = 2n ** 64n - 1n;
const LARGEST_WORD = 0xffff_ffff;

/** BPF_MAXINSNS, linux/bpf_common.h. */
const MOST_INSTRUCTIONS = 4096;

/** What a guest's kernel is given: seccomp(2). */
export interface ProfileFilter {
  flags: number;
  /** struct sock_filter, one after the other. */
  program: Uint8Array<ArrayBuffer>;
}

const filters = new WeakMap<SeccompProfile, ProfileFilter>();

/**
 * The filter that a profile means, as libseccomp and runc make it:
 *
 * - names that a processor does not have are passed over, and rules that say what holds anyway;
 * - a rule without arguments counts more than others of the same call; of those the first that applies;
 * - several conditions of a rule must all hold; but two of the same argument are two rules;
 * - later kernels' calls do not exist, unless the profile allows what it does not name: programs fall back on
 *   what they did before (runc's libcontainer/seccomp/patchbpf);
 * - programs of another kind than those of `architectures` are killed.
 *
 * @param profile the same object gives the same filter, made once
 * @throws {RangeError} when it would be longer than a kernel takes
 * @see seccomp_rule_add(3)
 */
export function profileFilter(profile: SeccompProfile): ProfileFilter {
  const made = filters.get(profile);
  if (made !== undefined) return made;
  const flags = profile.flags.reduce((sum, flag) => sum | FLAGS[flag], 0);
  const filter = { flags, program: encodeClassic(programOf(profile)) };
  filters.set(profile, filter);
  return filter;
}

function programOf(profile: SeccompProfile): Code {
  const { compat, auditArchitecture, foreignFrom } = arch.calls;
  const kill = [answer(ACTIONS.SCMP_ACT_KILL)];
  const others = profile.architectures.includes(compat.profileName)
    ? ifEqual(compat.auditArchitecture, callsCode(profile, numbersIn(compat.names())), kill)
    : kill;
  const native = callsCode(profile, callNumbers(), foreignFrom);
  const program = [loadWord(ARCHITECTURE), ...ifEqual(auditArchitecture, native, others)];
  if (program.length <= MOST_INSTRUCTIONS) return program;
  throw new RangeError(
    `it makes a filter of ${program.length} instructions, and a kernel takes ${MOST_INSTRUCTIONS}`,
  );
}

/** @param foreignFrom from this number on are calls of programs of another kind */
function callsCode(
  profile: SeccompProfile,
  numbers: ReadonlyMap<string, number>,
  foreignFrom?: number,
): Code {
  const otherwise = [resultOf(profile.defaultAction, profile.defaultErrnoRet)];
  const rules = rulesByNumber(profile, numbers);
  const later = isLenient(profile) ? otherwise : [answer(ACTIONS.SCMP_ACT_ERRNO | ENOSYS)];
  const codes = new Map<number, Code>();
  // What has a rule that says what holds anyway is known, too.
  const last = Math.max(-1, ...rules.keys());
  for (let number = 0; number <= last; number++) codes.set(number, otherwise);
  // The very same code for each action, so that neighbours are one range.
  const results = new Map<number, Code>();
  const share = (result: ClassicInstruction): Code => {
    const code = results.get(result.k) ?? [result];
    results.set(result.k, code);
    return code;
  };
  share(otherwise[0]!);
  for (const [number, its] of rules) {
    const plain = its.find(({ args }) => args.length === 0);
    codes.set(number, plain ? share(plain.result) : inTurn(its, otherwise));
  }
  const end = foreignFrom === undefined ? [] : [{ from: foreignFrom, code: otherwise }];
  return [loadWord(NUMBER), ...byNumber(codes, later, end)];
}

interface NumberedRule {
  result: ClassicInstruction;
  args: readonly SeccompArgument[];
}

function rulesByNumber(
  profile: SeccompProfile,
  numbers: ReadonlyMap<string, number>,
): Map<number, NumberedRule[]> {
  const rules = new Map<number, NumberedRule[]>();
  const fallback = resultOf(profile.defaultAction, profile.defaultErrnoRet);
  for (const { names, action, errnoRet, args } of profile.syscalls) {
    const result = resultOf(action, errnoRet);
    for (const name of names) {
      const number = numbers.get(name);
      if (number === undefined) continue;
      const its = rules.get(number) ?? [];
      rules.set(number, its);
      if (result.k === fallback.k) continue;
      const alternatives = hasOneTwice(args) ? args.map((it) => [it]) : [args];
      its.push(...alternatives.map((args) => ({ result, args })));
    }
  }
  return rules;
}

function hasOneTwice(args: readonly SeccompArgument[]): boolean {
  return new Set(args.map(({ index }) => index)).size < args.length;
}

function resultOf(action: SeccompAction, errnoRet = EPERM): ClassicInstruction {
  const takesNumber = action === "SCMP_ACT_ERRNO" || action === "SCMP_ACT_TRACE";
  return answer(ACTIONS[action] | (takesNumber ? errnoRet & 0xffff : 0));
}

/** Whether a call that is not named is made, or answered as one that does not exist. */
function isLenient({ defaultAction, defaultErrnoRet }: SeccompProfile): boolean {
  return defaultAction === "SCMP_ACT_ALLOW" || defaultAction === "SCMP_ACT_LOG" ||
    (defaultAction === "SCMP_ACT_ERRNO" && defaultErrnoRet === ENOSYS);
}

/** The first rule that applies. */
function inTurn(rules: readonly NumberedRule[], otherwise: Code): Code {
  return [...rules.flatMap(ruleCode), ...otherwise];
}

/** Jumps behind itself where it does not apply. */
function ruleCode({ result, args }: NumberedRule): ClassicInstruction[] {
  const tests = args.flatMap(testsOf);
  const code: (ClassicInstruction | Test)[] = [...tests, result];
  if (code.length > LONGEST_JUMP) throw new RangeError("a rule has too many conditions");
  return code.map((it, index) => {
    if (!("failing" in it)) return it;
    const end = code.length - index - 1;
    const { k, isEqual, holding, failing } = it;
    const jump = isEqual ? jumpIfEqual : jumpIfAtLeast;
    return jump(k, holding === "end" ? end : holding, failing === "end" ? end : failing);
  });
}

/** A comparison, and how many instructions are passed over then; `end`: the rule does not apply. */
interface Test {
  k: number;
  /** Otherwise whether it is that much, or more. */
  isEqual: boolean;
  holding: number | "end";
  failing: number | "end";
}

function equal(k: number, holding: Test["holding"], failing: Test["failing"]): Test {
  return { k, isEqual: true, holding, failing };
}

function atLeast(k: number, holding: Test["holding"], failing: Test["failing"]): Test {
  return { k, isEqual: false, holding, failing };
}

/** The higher one first. */
function halves(value: bigint): [high: number, low: number] {
  return [Number(value >> 32n), Number(value & BigInt(LARGEST_WORD))];
}

/** The halves of an argument of 64 bits are compared one after the other. Goes on where it holds. */
function testsOf({ index, value, valueTwo, op }: SeccompArgument): (ClassicInstruction | Test)[] {
  // The lower half comes first: the processors that we have are little-endian.
  const at = ARGUMENTS + index * ARGUMENT_SIZE;
  const [low, high] = [loadWord(at), loadWord(at + 4)];
  const [valueHigh, valueLow] = halves(value);
  switch (op) {
    case "SCMP_CMP_EQ":
      return [high, equal(valueHigh, 0, "end"), low, equal(valueLow, 0, "end")];
    case "SCMP_CMP_NE":
      return [high, equal(valueHigh, 0, 2), low, equal(valueLow, "end", 0)];
    case "SCMP_CMP_MASKED_EQ": {
      const [wantedHigh, wantedLow] = halves(valueTwo);
      return [
        ...[high, and(valueHigh), equal(wantedHigh, 0, "end")],
        ...[low, and(valueLow), equal(wantedLow, 0, "end")],
      ];
    }
    case "SCMP_CMP_GE":
      return atLeastTests(high, low, value);
    case "SCMP_CMP_GT":
      return value === LARGEST ? never(low) : atLeastTests(high, low, value + 1n);
    case "SCMP_CMP_LT":
      return belowTests(high, low, value);
    case "SCMP_CMP_LE":
      return value === LARGEST ? [] : belowTests(high, low, value + 1n);
  }
}

/** Nothing is more than the largest number. */
function never(low: ClassicInstruction): (ClassicInstruction | Test)[] {
  return [low, equal(0, "end", "end")];
}

function atLeastTests(
  high: ClassicInstruction,
  low: ClassicInstruction,
  value: bigint,
): (ClassicInstruction | Test)[] {
  const [valueHigh, valueLow] = halves(value);
  const end = [equal(valueHigh, 0, "end"), low, atLeast(valueLow, 0, "end")];
  if (valueHigh === LARGEST_WORD) return [high, ...end];
  return [high, atLeast(valueHigh + 1, end.length, 0), ...end];
}

function belowTests(
  high: ClassicInstruction,
  low: ClassicInstruction,
  value: bigint,
): (ClassicInstruction | Test)[] {
  const [valueHigh, valueLow] = halves(value);
  // Lower in the higher half, or the same there and lower in the other one.
  const end = [equal(valueHigh, 0, 2), low, atLeast(valueLow, "end", 0)];
  if (valueHigh === LARGEST_WORD) return [high, ...end];
  return [high, atLeast(valueHigh + 1, "end", 0), ...end];
}
