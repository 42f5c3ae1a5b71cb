import { HostError } from "../errors.ts";
import { isCode, isGone } from "./os_error.ts";

/** A name of the caller's own, which need not be opened. */
export const STANDARD_INPUT = "/dev/stdin";

/** How an error about the file is worded. */
export interface FileErrorParts {
  operation: string;
  remedy?: string;
}

/**
 * Reads a whole file that may be no longer than it should.
 *
 * @param path host path, from the caller
 * @param maximumBytes a longer file is refused without being read
 * @throws HostError naming the file and why it cannot be read
 */
export function readBounded(
  path: string,
  maximumBytes: number,
  parts: FileErrorParts,
): Uint8Array {
  const fail = (reason: string, cause?: unknown) =>
    new HostError({ ...parts, subject: path, reason, cause });
  let size: number;
  try {
    const info = Deno.statSync(path);
    if (!info.isFile) throw fail("it is not a regular file");
    size = info.size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw fail("no such file", error);
    throw error;
  }
  if (size > maximumBytes) throw fail(`it has ${size} bytes, at most ${maximumBytes} are read`);
  return Deno.readFileSync(path);
}

/**
 * As `readBounded`, of what a person names on the command line: a pipe as well, as a shell's `<(…)` is one.
 *
 * @throws HostError
 */
export function readGiven(
  path: string,
  maximumBytes: number,
  parts: FileErrorParts,
): Uint8Array {
  if (path === STANDARD_INPUT) return readStream(Deno.stdin, path, maximumBytes, parts);
  let isFifo: boolean | null = false;
  try {
    ({ isFifo } = Deno.statSync(path));
  } catch { /* it is said below */ }
  if (!isFifo) return readBounded(path, maximumBytes, parts);
  using file = Deno.openSync(path);
  return readStream(file, path, maximumBytes, parts);
}

function readStream(
  stream: { readSync(bytes: Uint8Array): number | null },
  subject: string,
  maximumBytes: number,
  parts: FileErrorParts,
): Uint8Array {
  const bytes = new Uint8Array(maximumBytes + 1);
  for (let length = 0; length <= maximumBytes;) {
    const count = stream.readSync(bytes.subarray(length));
    if (count === null) return bytes.subarray(0, length);
    length += count;
  }
  const reason = `it has more than ${maximumBytes} bytes, at most that are read`;
  throw new HostError({ ...parts, subject, reason });
}

/** Whether anything has this name, be it a link to nothing; false when that cannot be known, too. */
export function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * As `exists`, where that must be known.
 *
 * @throws an error of Deno when it cannot be
 */
export function isThere(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Whether it is a directory, links not followed; false when that cannot be known, too. */
export function isDirectory(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch {
    return false;
  }
}

/**
 * Reads a text file that may not exist.
 *
 * @param absent names of errors that mean the same here, besides ENOENT
 * @returns undefined when it does not exist
 * @throws other errors of Deno
 */
export function readIfThere(path: string, ...absent: string[]): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isCode(error, "ENOENT", ...absent)) return undefined;
    throw error;
  }
}

/**
 * Removes what may not exist.
 *
 * @throws errors of Deno, when it exists and cannot be removed
 */
export function removeIfThere(path: string, options?: Deno.RemoveOptions): void {
  try {
    Deno.removeSync(path, options);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Requires a directory that nobody but this process's user, and root, can change: what is in it is acted
 * upon as root.
 *
 * @param parts the error's operation; what to do about a symlink
 * @throws HostError naming it; NotFound of Deno
 */
export function requireOwnDirectory(path: string, parts: FileErrorParts): void {
  const { uid, mode, isDirectory } = Deno.lstatSync(path);
  const refuse = (reason: string, remedy?: string) =>
    new HostError({ operation: parts.operation, subject: path, reason, remedy });
  if (!isDirectory) throw refuse("it is not a directory", parts.remedy);
  if (uid !== Deno.uid()) {
    throw refuse(`it belongs to uid ${uid}`, `it must belong to uid ${Deno.uid()}`);
  }
  if (((mode ?? 0) & 0o022) !== 0) {
    throw refuse("others than its owner can write it", `chmod go-w ${path}`);
  }
}

/** Which file it is, whatever it is named; numbers are used again only when the file is gone. */
export interface FileIdentity {
  /** st_dev as stat(2) gives it. */
  dev: number;
  ino: number;
}

/**
 * Which file a path leads to: `/proc/PID/exe`, or a namespace, by `/proc/PID/ns/TYPE`,
 * `/proc/self/fd/N`, or what such a file was bind-mounted on.
 *
 * @returns undefined when there is nothing at that path, or the process is gone or a zombie
 * @see namespaces(7), "The /proc/pid/ns/ directory"
 */
export function readFileIdentity(path: string): FileIdentity | undefined {
  try {
    const { dev, ino } = Deno.statSync(path);
    if (ino === null) throw new TypeError("stat gave no inode number");
    return { dev, ino };
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** Are both the same, known file? */
export function isSameIdentity(
  one: FileIdentity | undefined,
  other: FileIdentity | undefined,
): boolean {
  return one !== undefined && one.dev === other?.dev && one.ino === other.ino;
}
