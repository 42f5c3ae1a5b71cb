import { exists, isDirectory } from "../os/files.ts";
import { parentPath } from "../os/path.ts";
import { locate } from "./tree.ts";

/** The SHA-256 of bytes, in hexadecimal digits. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return new Uint8Array(digest).toHex();
}

/**
 * Writes a file whole or not at all, with the mode and owner that it had.
 *
 * @param mode of a file that is new
 */
export function replaceFile(path: string, bytes: Uint8Array, mode: number): void {
  const unfinished = `${path}.urunc-${Deno.pid}`;
  const found = exists(path) ? Deno.lstatSync(path) : undefined;
  // What a link leads to is not replaced.
  const former = found?.isSymlink ? undefined : found;
  try {
    writeNew(unfinished, bytes, former === undefined ? mode : former.mode! & 0o7777, former);
    Deno.renameSync(unfinished, path);
  } catch (error) {
    if (exists(unfinished)) Deno.removeSync(unfinished);
    throw error;
  }
}

/**
 * Writes a file that is not there yet.
 *
 * @param owner undefined: this process's user
 */
export function writeNew(
  path: string,
  bytes: Uint8Array,
  mode: number,
  owner?: Pick<Deno.FileInfo, "uid" | "gid">,
): void {
  // It may hold secrets: nobody else can open it before it has its owner and mode.
  Deno.writeFileSync(path, bytes, { createNew: true, mode: 0o600 });
  if (owner !== undefined) Deno.chownSync(path, owner.uid, owner.gid);
  // Whatever the caller's umask is.
  Deno.chmodSync(path, mode);
}

/**
 * Makes a directory of a tree and those above it.
 *
 * @param path without the prefix
 * @returns those that were made, without the prefix, from the outermost
 */
export function makeDirectories(prefix: string, path: string): string[] {
  if (path === "/") {
    Deno.mkdirSync(`${prefix}/`, { recursive: true });
    return [];
  }
  // There may be a link, as /var/run is.
  if (isDirectory(locate(prefix, path, "followed"))) return [];
  const above = makeDirectories(prefix, parentPath(path));
  Deno.mkdirSync(locate(prefix, path, "followed"), { mode: 0o755 });
  return [...above, path];
}

/** The bytes of a file; undefined when there is none. */
export function bytesOf(path: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Whether two files have the same bytes. */
export function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one !== undefined && one.length === other?.length &&
    one.every((byte, index) => byte === other[index]);
}

/** Makes a link, in place of what has its name. */
export function replaceLink(path: string, target: string): void {
  const unfinished = `${path}.urunc-${Deno.pid}`;
  Deno.symlinkSync(target, unfinished);
  Deno.renameSync(unfinished, path);
}

/** Whether it is a link with this target. */
export function isLinkTo(path: string, target: string): boolean {
  try {
    return Deno.readLinkSync(path) === target;
  } catch {
    return false;
  }
}
