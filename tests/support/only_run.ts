/** One run of the tests at a time: each would take the other's files and processes for leaks. */
import { cacheDirectory } from "./cache.ts";

/**
 * Makes this process the only run of this user's on the machine, until it ends.
 *
 * @throws Error that says who is it already
 */
export async function claimMachine(): Promise<void> {
  const path = `${await cacheDirectory("run")}/lock`;
  const file = await Deno.open(path, { create: true, read: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    const pid = (await Deno.readTextFile(path)).trim();
    const place = await Deno.readLink(`/proc/${pid}/cwd`).catch(() => "another directory");
    throw new Error(
      `another run of the tests is under way: process ${pid} in ${place}. Each would take the ` +
        "other's files and processes for leaks: wait for its end.",
    );
  }
  await file.truncate();
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  // It stays open, and with it the lock.
}
