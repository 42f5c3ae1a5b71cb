import { InvalidConfigurationError } from "../errors.ts";
import { configJson } from "./config_json.ts";
import type { IdMapping, IdMaps, Linux, Mount, Spec, User } from "./types.ts";

/** One more than the highest id: (uid_t)-1 is none. */
const IDS = 2 ** 32 - 1;

/** True when the container's ids are not the host's. */
export function hasUserNamespace({ namespaces }: Pick<Linux, "namespaces">): boolean {
  return namespaces.some(({ type }) => type === "user");
}

/**
 * Who a user of a container is on the host: itself, unless the container has a user namespace.
 *
 * @throws InvalidConfigurationError naming the id that no mapping has
 * @see user_namespaces(7)
 */
export function userOnHost(user: User, linux: Spec["linux"]): User {
  if (!hasUserNamespace(linux)) return user;
  const { uidMappings, gidMappings } = linux;
  return {
    ...user,
    uid: mapped(user.uid, uidMappings, "uid"),
    gid: mapped(user.gid, gidMappings, "gid"),
    additionalGids: user.additionalGids.map((gid) => mapped(gid, gidMappings, "additionalGids")),
  };
}

/**
 * Who root of a user namespace is on the host.
 *
 * @returns undefined when a mapping has no 0: there is no root in it
 */
export function rootOnHost({ uids, gids }: IdMaps): Pick<User, "uid" | "gid"> | undefined {
  const [uid, gid] = [onHost(0, uids), onHost(0, gids)];
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

/** Whether an id of the host has a number in a user namespace. */
export function isMapped(id: number, mappings: readonly IdMapping[]): boolean {
  return onDisk(id, mappings) !== IDS;
}

function onHost(id: number, mappings: readonly IdMapping[]): number | undefined {
  const mapping = mappings.find(({ containerID, size }) =>
    id >= containerID && id < containerID + size
  );
  return mapping && id - mapping.containerID + mapping.hostID;
}

function mapped(id: number, mappings: readonly IdMapping[], field: string): number {
  const found = onHost(id, mappings);
  if (found !== undefined) return found;
  throw configJson(`process.user.${field}`).invalid(
    `${id}`,
    `ids that linux.${field === "uid" ? "uidMappings" : "gidMappings"} has`,
  );
}

/**
 * The mappings of a mount: its own, or those of the container (config.md, "Linux mount options", idmap).
 *
 * @returns undefined when it has none
 */
export function mapsOfMount(
  { maps, options }: Pick<Mount, "maps" | "options">,
  { uidMappings, gidMappings }: Pick<Linux, "uidMappings" | "gidMappings">,
): IdMaps | undefined {
  if (maps !== undefined) return maps;
  const takesContainers = options.includes("idmap") || options.includes("ridmap");
  return takesContainers ? { uids: uidMappings, gids: gidMappings } : undefined;
}

/**
 * Mappings in one order, the same text for the same ones. The kernel sorts those that are more than a few
 * (map_write() in kernel/user_namespace.c).
 */
export function formatMap(mappings: readonly IdMapping[]): string {
  const sorted = [...mappings].sort((a, b) => a.containerID - b.containerID);
  return sorted.map((it) => `${it.containerID}:${it.hostID}:${it.size}`).join(",") || "empty";
}

/** Whether two have the same mappings, in whatever order. */
export function areSameMaps(one: IdMaps, other: IdMaps): boolean {
  return formatMap(one.uids) === formatMap(other.uids) &&
    formatMap(one.gids) === formatMap(other.gids);
}

/**
 * Who a user of the host is among the owners on a disk whose mount maps them.
 *
 * @see mount_setattr(2), "ID-mapped mounts"
 */
export function userOnDisk(user: User, { uids, gids }: IdMaps): User {
  return {
    ...user,
    uid: onDisk(user.uid, uids),
    gid: onDisk(user.gid, gids),
    additionalGids: user.additionalGids.map((gid) => onDisk(gid, gids)),
  };
}

/** (uid_t)-1, which owns nothing, for one that no mapping has. */
function onDisk(id: number, mappings: readonly IdMapping[]): number {
  const mapping = mappings.find(({ hostID, size }) => id >= hostID && id < hostID + size);
  return mapping === undefined ? IDS : id - mapping.hostID + mapping.containerID;
}

/**
 * Checks what is said of a user namespace.
 *
 * @throws InvalidConfigurationError naming the property
 */
export function checkUserNamespace({ linux, process }: Spec): void {
  for (const key of ["uidMappings", "gidMappings"] as const) {
    checkMappings(key, linux[key], hasUserNamespace(linux));
  }
  userOnHost(process.user, linux);
}

function checkMappings(
  key: "uidMappings" | "gidMappings",
  mappings: readonly IdMapping[],
  isNeeded: boolean,
): void {
  if ((mappings.length > 0) !== isNeeded) {
    throw new InvalidConfigurationError({
      operation: "read config.json",
      subject: `linux.${key}`,
      reason: isNeeded
        ? "linux.namespaces has user, and there are no mappings"
        : "there are mappings, but linux.namespaces has no user",
    });
  }
  mappings.forEach(({ containerID, hostID, size }, index) => {
    const at = configJson(`linux.${key}[${index}]`);
    if (size === 0) throw at.child("size").invalid("0", "at least 1");
    if (Math.max(containerID, hostID) + size > IDS) {
      throw at.invalid(`${size} ids from ${Math.max(containerID, hostID)} on`, `ids below ${IDS}`);
    }
  });
}
