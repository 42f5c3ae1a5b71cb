import { errorMessage, UruncError } from "../../errors.ts";
import type { Problem } from "../facts.ts";

/** For an answer of a program: a daemon that hangs must not keep the report from being written. */
const PATIENCE_MS = 10_000;

/** What a program printed. */
interface Answer {
  success: boolean;
  stdout: string;
  stderr: string;
}

/**
 * Runs a program that answers a question and changes nothing.
 *
 * @param command the program, by name or path, and its arguments
 * @returns undefined when it is not there, or does not answer in time
 */
export async function ask(command: readonly [string, ...string[]]): Promise<Answer | undefined> {
  const [program, ...args] = command;
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, {
      args,
      stdin: "null",
      env: { LC_ALL: "C" },
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).output();
    const decoder = new TextDecoder();
    return { success, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
  } catch {
    return undefined;
  }
}

/** The first number with dots in what a program prints when it is asked for its version. */
export async function askVersion(program: string): Promise<string | undefined> {
  return parseVersion(await askIdentity(program));
}

/** What a program prints when it is asked for its version. */
export async function askIdentity(program: string): Promise<string> {
  const answer = await ask([program, "--version"]);
  return `${answer?.stdout ?? ""}${answer?.stderr ?? ""}`;
}

/** The first number with dots. */
export function parseVersion(text: string): string | undefined {
  return /\d+(?:\.\d+)+/.exec(text)?.[0];
}

/** Why something failed, in the words of its error. */
export function problemOf(error: unknown): Problem {
  if (!(error instanceof UruncError)) return { reason: errorMessage(error) };
  const { subject, reason, remedy } = error.parts;
  const text = subject === undefined ? reason : `${subject}: ${reason}`;
  return remedy === undefined ? { reason: text } : { reason: text, remedy };
}

/** The last line of what a program printed about its failure. */
export function lastLine(text: string): string {
  return text.trimEnd().split("\n").at(-1) ?? "";
}
