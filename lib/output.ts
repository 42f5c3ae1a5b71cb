import { errorMessage, HostError } from "./errors.ts";
import { formatJson } from "./printable.ts";

/**
 * Writes all of `text` to standard output.
 *
 * @throws HostError when it is closed, as a pipe's other end may be, or full
 */
export function print(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let written = 0; written < bytes.length;) {
      written += Deno.stdout.writeSync(bytes.subarray(written));
    }
  } catch (error) {
    throw new HostError({
      operation: "write to standard output",
      reason: errorMessage(error),
      remedy: "what was done is done; only its output is lost",
      cause: error,
    });
  }
}

/** Writes all of `text` to standard error. When that is closed or full, there is nowhere to say so. */
export function printError(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let written = 0; written < bytes.length;) {
      written += Deno.stderr.writeSync(bytes.subarray(written));
    }
  } catch {
    // See above.
  }
}

/** Prints a value as indented JSON. */
export function printJson(value: unknown): void {
  print(`${formatJson(value, 2)}\n`);
}
