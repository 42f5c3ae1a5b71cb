/**
 * Fuzzing: what comes from outside is parsed, or refused by an error of urunc's own that says what was
 * done, with what and why; soon, and without much memory. Anything else that a parser throws is a
 * defect of it.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Arbitrary } from "fast-check";
import { UruncError } from "../../lib/errors.ts";

/** What is fuzzed: a parser, or several that are used one after the other. */
export interface Target<Value = unknown> {
  name: string;
  /** Its share of the cases of a run. */
  weight: number;
  /** Programs that it needs; none by default. */
  needs?: string[];
  /** What it is given. */
  inputs: Arbitrary<Value>;
  /** Throws, or rejects, when something is wrong. */
  check(input: Value): void | Promise<void>;
}

/** A target whose inputs are of a type of their own. */
export function target<Value>(definition: Target<Value>): Target {
  return definition as Target;
}

/** Of a message, in characters: what is hostile is shortened in it (lib/errors.ts). */
const LONGEST_MESSAGE = 12_200;

/** Of one input, in milliseconds of a processor. */
const LONGEST_TIME = 1000;

/**
 * Runs a parser.
 *
 * @returns what it made of its input; undefined when it refused that in order
 */
export function parsed<Result>(parse: () => Result): Result | undefined {
  const began = performance.now();
  let result: Result | undefined;
  try {
    result = parse();
  } catch (error) {
    checkRefusal(error);
  }
  // Others may have had the processor meanwhile.
  if (performance.now() - began > LONGEST_TIME) checkTime(parse);
  return result;
}

/** As {@linkcode parsed}, of a parser that is asynchronous. */
export async function parsedLater<Result>(
  parse: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await parse();
  } catch (error) {
    checkRefusal(error);
    return undefined;
  }
}

function checkRefusal(error: unknown): void {
  if (!(error instanceof UruncError)) throw error;
  const { operation, reason } = error.parts;
  assert.notEqual(operation, "");
  assert.notEqual(reason, "");
  const { length } = error.message;
  assert.ok(length < LONGEST_MESSAGE, `a message of ${length}: ${error.message.slice(0, 200)}`);
}

function checkTime(parse: () => unknown): void {
  const began = processorMilliseconds();
  try {
    parse();
  } catch { /* its error was looked at */ }
  const took = processorMilliseconds() - began;
  assert.ok(took <= LONGEST_TIME, `it took ${took} ms of a processor`);
}

/** Of this thread: proc_pid_schedstat(5), in nanoseconds there. */
function processorMilliseconds(): number {
  return Number(Deno.readTextFileSync("/proc/thread-self/schedstat").split(" ")[0]) / 1e6;
}
