/** One run of the tests at a time in a directory: each builds the executable that the other one tests. */
import { cacheDirectory } from "./cache.ts";

/**
 * Makes this process the only run of this user's that tests the executable of a directory, until it ends.
 *
 * @throws Error that names the process which is it already
 */
export async function claimDirectory(directory: string): Promise<void> {
  const path = `${await cacheDirectory("run")}/lock-${await nameOf(directory)}`;
  const file = await Deno.open(path, { create: true, read: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    const pid = (await Deno.readTextFile(path)).trim();
    throw new Error(
      `another run of the tests is under way in ${directory}: process ${pid}. Each would replace ` +
        "the executable that the other one tests: wait for its end.",
    );
  }
  await file.truncate();
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  // It stays open, and with it the lock.
}

/** Of a path, without slashes. */
async function nameOf(path: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(path));
  return new Uint8Array(hash).toHex().slice(0, 16);
}
