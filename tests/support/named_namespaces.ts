/** What `ip netns add` leaves for good: it mounts the directory of named namespaces on itself, once. */
import { run } from "./process.ts";

const DIRECTORY = "/run/netns";

/** Whether that has been done. */
export function isNamespaceDirectoryMounted(): boolean {
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo");
  return mounts.split("\n").some((line) => line.split(" ")[4] === DIRECTORY);
}

/**
 * Takes that back, unless somebody has a namespace there.
 *
 * @throws Error with what umount says
 */
export async function removeNamespaceDirectory(): Promise<void> {
  if (!isNamespaceDirectoryMounted() || [...Deno.readDirSync(DIRECTORY)].length > 0) return;
  await run(["umount", DIRECTORY], { check: true });
  await Deno.remove(DIRECTORY);
}
