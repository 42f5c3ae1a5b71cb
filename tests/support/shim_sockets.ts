/** Where shims have their sockets, on a machine that may have no containerd. */
import { exists } from "../../lib/os/files.ts";
import { osErrorCode } from "../../lib/os/os_error.ts";
import { SOCKET_DIRECTORY } from "../../lib/shim/command/group.ts";
import type { Scope } from "./scope.ts";

/** Who makes a shim makes these, and leaves them: what is not there yet goes with the scope. */
export function withoutSocketDirectories(scope: Scope): void {
  const parent = SOCKET_DIRECTORY.slice(0, SOCKET_DIRECTORY.lastIndexOf("/"));
  const made = [SOCKET_DIRECTORY, parent].filter((it) => !exists(it));
  scope.defer("remove the directories of sockets", () => made.forEach(removeEmpty));
}

/** Others may use it by now. */
function removeEmpty(directory: string): void {
  try {
    Deno.removeSync(directory);
  } catch (error) {
    if (!["ENOTEMPTY", "ENOENT"].includes(osErrorCode(error) ?? "")) throw error;
  }
}
