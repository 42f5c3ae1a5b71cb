import { FILE_IDS, parseIdRange } from "../config/id_range.ts";
import type { Configuration } from "../config/types.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { IdMaps } from "../oci/types.ts";

/** What a container has out of `ids.range`. */
export interface PlannedIds {
  /** How many ids, one after the other; 0: none. */
  count: number;
  /** The monitor's uid and gid, where they are its own. */
  monitor?: number;
  /** Who owns files that are shared with the guest, where these are not the container's user's. */
  files?: IdMaps;
}

/** What the decision depends on. */
export interface IdsInput {
  configuration: Pick<Configuration, "ids" | "guests.linux">;
  facts: Pick<HostFacts, "sharedRoot" | "sharedMounts">;
}

/**
 * The ids of a container. The monitor's is beyond those of the files: were it one of them, the guest could
 * make that user's files, and its file server act as it.
 *
 * @param first of those that the container was given; the range's first, which they need not become, when
 *   only a plan is made
 */
export function planIds({ configuration, facts }: IdsInput, first?: number): PlannedIds {
  const { ids, "guests.linux": { file_access } } = configuration;
  const shares = facts.sharedRoot !== undefined || (facts.sharedMounts ?? []).length > 0;
  const files = shares && file_access === "userns" ? FILE_IDS : 0;
  const count = files + (ids.mode === "container" ? 0 : 1);
  if (count === 0) return { count };
  const from = first ?? parseIdRange(ids.range!)!.first;
  const maps = () => [{ containerID: 0, hostID: from, size: FILE_IDS }];
  return {
    count,
    ...(ids.mode === "container" ? {} : { monitor: from + files }),
    ...(files === 0 ? {} : { files: { uids: maps(), gids: maps() } }),
  };
}
