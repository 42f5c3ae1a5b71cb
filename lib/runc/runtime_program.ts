import { HostError } from "../errors.ts";
import { SEARCH_PATH } from "../host/binaries.ts";

/**
 * Finds the OCI runtime for containers that are not guests.
 *
 * @param program a name, or an absolute path
 * @returns an absolute path
 * @throws HostError when it is not there
 */
export function findRuntime(program: string): string {
  const candidates = program.startsWith("/")
    ? [program]
    : SEARCH_PATH.map((directory) => `${directory}/${program}`);
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw new HostError({
    operation: "find the OCI runtime",
    subject: program,
    reason: program.startsWith("/")
      ? "not an executable file"
      : `it is in none of ${SEARCH_PATH.join(", ")}`,
    remedy: "the container is not a guest: install runc, or name a runtime with oci_runtime in " +
      "/etc/urunc/config.toml",
  });
}

function isExecutable(path: string): boolean {
  try {
    const { isFile, mode } = Deno.statSync(path);
    return isFile && ((mode ?? 0) & 0o111) !== 0;
  } catch {
    return false;
  }
}
