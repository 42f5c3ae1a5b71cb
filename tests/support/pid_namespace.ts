import { childrenOf, waitFor } from "./process.ts";
import type { Scope } from "./scope.ts";

/**
 * A PID namespace that outlives every container in it, so that nothing dies with one. Needs unshare.
 *
 * @returns its path, for config.json
 */
export async function heldPidNamespace(scope: Scope): Promise<string> {
  const args = ["--pid", "--fork", "--kill-child", "sleep", "1000"];
  const child = new Deno.Command("unshare", { args, stdin: "null" }).spawn();
  scope.defer("end the holder", async () => {
    child.kill("SIGKILL");
    await child.status;
  });
  const pid = await waitFor(() => childrenOf(child.pid)[0], {
    timeoutSeconds: 10,
    what: "the holder",
  });
  return `/proc/${pid}/ns/pid`;
}
