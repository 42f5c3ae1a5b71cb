import { osErrorCode } from "../os/os_error.ts";

/**
 * The container's own directories among all that were made for it. The parents are shared: what
 * runs below them may be another container's and must not be killed.
 */
export function leavesOf(directories: string[]): string[] {
  return directories.filter((path) => !directories.some((other) => other.startsWith(`${path}/`)));
}

/** Does an error of ffi/ or of Deno carry this errno? */
export function isCode(error: unknown, code: string): boolean {
  return osErrorCode(error) === code;
}
