import { errnoName } from "../../ffi/linux.ts";

/**
 * The name of an error number, of errors of ffi/ and of Deno. Deno names the numbers that it knows in
 * `code`. Others, ESRCH and ENXIO among them, stand in the message only, as Rust writes it there:
 * "No such process (os error 3): readfile '/proc/1883/stat'".
 *
 * @returns undefined for an error without a number
 */
export function osErrorCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if ("code" in error && typeof error.code === "string") return error.code;
  const number = /\(os error (\d+)\)/.exec(error.message)?.[1];
  return number === undefined ? undefined : errnoName(Number(number));
}

/** Whether an error of ffi/ or of Deno has one of these numbers, by C's names. */
export function isCode(error: unknown, ...codes: string[]): boolean {
  const code = osErrorCode(error);
  return code !== undefined && codes.includes(code);
}

/** ENOENT when the directory is gone, ESRCH when the process died after it was opened. */
export function isGone(error: unknown): boolean {
  return isCode(error, "ENOENT", "ESRCH");
}
