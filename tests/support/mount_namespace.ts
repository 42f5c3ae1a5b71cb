import { readName } from "../../lib/os/process.ts";
import { daemon } from "./daemon.ts";
import { waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/**
 * A mount namespace with copies of all mounts, for as long as the scope lasts.
 *
 * @param propagation of the copies: unshare(1)
 * @returns the pid of what is in it, a `sleep`
 */
export async function heldMountNamespace(
  scope: Scope,
  propagation: "private" | "shared",
): Promise<number> {
  const command = ["unshare", "--mount", `--propagation=${propagation}`, "sleep", "infinity"];
  const { pid } = await daemon(scope, "/dev/null", command);
  await waitFor(() => readName(pid) === "sleep", {
    timeoutSeconds: 10,
    what: "the mount namespace",
  });
  return pid;
}
