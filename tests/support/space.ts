/** Room for files that are too big for memory. */
import { statfsSync } from "node:fs";

/** Where big temporary files are made: `/tmp` is in memory on many machines. */
export function bigTemporaryDirectory(): string {
  return Deno.env.get("TMPDIR") || "/var/tmp";
}

/** How much an ordinary user may still write to the file system of a path, in MiB. */
export function freeMib(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Math.floor(bavail * bsize / 2 ** 20);
}

/**
 * Why files of a size cannot be made below a path, or undefined when they can.
 *
 * @param mib in MiB
 */
export function missingSpace(path: string, mib: number): string | undefined {
  const free = freeMib(path);
  return free >= mib ? undefined : `needs ${mib} MiB of space in ${path}, ${free} MiB are there`;
}
