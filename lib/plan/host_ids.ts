import { FILE_IDS, parseIdRange } from "../config/id_range.ts";
import type { Configuration } from "../config/types.ts";
import { InvalidConfigurationError } from "../errors.ts";
import type { HostFacts } from "../inspect/types.ts";
import { hasUserNamespace, isMapped } from "../oci/id_mappings.ts";
import type { IdMaps, Spec } from "../oci/types.ts";

/** What a container has out of `ids.range`. */
export interface PlannedIds {
  /** How many ids, one after the other; 0: none. */
  count: number;
  /** The monitor's uid and gid, where they are its own. */
  monitor?: number;
  /**
   * Who owns files that are shared with the guest, where these are not the container's user's. Those of a user
   * namespace of config.json are the engine's, and not out of the range.
   */
  files?: IdMaps;
}

/** What the decision depends on. */
export interface IdsInput {
  spec: { linux: Pick<Spec["linux"], "namespaces" | "uidMappings" | "gidMappings"> };
  configuration: Pick<Configuration, "ids" | "guests.linux">;
  facts: Pick<HostFacts, "sharedRoot" | "sharedMounts">;
}

/**
 * The ids of a container. The monitor's is beyond those of the files: were it one of them, the guest could
 * make that user's files, and its file server act as it.
 *
 * A container that has a user namespace of config.json has its files in the ids of that, whatever
 * `file_access` is: so the engine gives them to it, and root in it is root over them, as under runc.
 *
 * @param first of those that the container was given; the range's first, which they need not become, when
 *   only a plan is made
 * @throws InvalidConfigurationError when the monitor's is one of that namespace
 */
export function planIds({ spec, configuration, facts }: IdsInput, first?: number): PlannedIds {
  const { ids, "guests.linux": { file_access } } = configuration;
  const shares = facts.sharedRoot !== undefined || (facts.sharedMounts ?? []).length > 0;
  const { uidMappings: uids, gidMappings: gids } = spec.linux;
  const own = shares && hasUserNamespace(spec.linux) ? { files: { uids, gids } } : undefined;
  const files = shares && own === undefined && file_access === "userns" ? FILE_IDS : 0;
  const count = files + (ids.mode === "container" ? 0 : 1);
  if (count === 0) return { count, ...own };
  const from = first ?? parseIdRange(ids.range!)!.first;
  const maps = () => [{ containerID: 0, hostID: from, size: FILE_IDS }];
  const monitor = from + files;
  if (own !== undefined && [uids, gids].some((it) => isMapped(monitor, it))) {
    throw overlaps(monitor);
  }
  return {
    count,
    ...(ids.mode === "container" ? {} : { monitor }),
    ...(files === 0 ? own : { files: { uids: maps(), gids: maps() } }),
  };
}

function overlaps(id: number): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "choose the monitor's user",
    subject: `ids.range, ${id}`,
    reason:
      "the container's user namespace has this id, too: its guest could make files of the monitor's",
    remedy:
      "choose a range that no engine gives to containers (/etc/subuid; Kubernetes' user namespaces)",
  });
}
