import type { HostFacts } from "../inspect/types.ts";
import { HOSTS, RESOLV_CONF } from "../oci/names.ts";
import type { Spec } from "../oci/types.ts";
import type { SharedFiles } from "./shared_files.ts";

/** What the decision depends on. */
export interface NamesInput {
  facts: Pick<HostFacts, "hosts" | "resolvConf">;
  shared: SharedFiles | undefined;
}

/** The container's names of hosts, and its name servers, by the path that each has there. */
export type Names = Partial<Record<typeof HOSTS | typeof RESOLV_CONF, string>>;

/**
 * Those of which the guest has a copy, as they are when the container is created. A file that is shared with it
 * is as in any container: podman writes both between `create` and `start`, and docker when a network is joined.
 */
export function copiedNames({ facts, shared }: NamesInput): Names {
  const isShared = (path: string) =>
    shared?.volumes.some(({ destination }) => destination === path) === true;
  return {
    ...(facts.hosts === undefined || isShared(HOSTS) ? {} : { [HOSTS]: facts.hosts }),
    ...(facts.resolvConf === undefined || isShared(RESOLV_CONF)
      ? {}
      : { [RESOLV_CONF]: facts.resolvConf }),
  };
}

/**
 * What the guest does not get of them.
 *
 * @param used paths of those that its family or agent reads
 */
export function namesWarnings(
  { mounts }: Pick<Spec, "mounts">,
  names: Names,
  used: readonly string[],
): string[] {
  return mounts.flatMap(({ destination }, index) =>
    used.includes(destination) && (names as Record<string, string>)[destination] === ""
      ? [
        `config.json mounts[${index}] ${destination}: it is empty, and what the engine writes into it ` +
        "after create does not reach the guest",
      ]
      : []
  );
}
