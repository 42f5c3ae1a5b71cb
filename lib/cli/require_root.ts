import { HostError } from "../errors.ts";

/**
 * For commands about the node itself.
 *
 * @param why root is needed, as a sentence fragment
 * @throws HostError for other users
 */
export function requireRoot(operation: string, why: string): void {
  const uid = Deno.uid();
  if (uid === 0) return;
  throw new HostError({
    operation,
    reason: `operation not permitted: urunc runs as uid ${uid}, and ${why}`,
    remedy: "run it as root",
  });
}
