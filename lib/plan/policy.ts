import { parseIdRange } from "../config/id_range.ts";
import { matchesPattern } from "../config/pattern.ts";
import type { Configuration } from "../config/types.ts";
import { NotAllowedError } from "../errors.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { Monitor } from "../monitor/types.ts";
import { userOnHost } from "../oci/id_mappings.ts";
import type { IdMaps, Spec, User } from "../oci/types.ts";

/** What the operator of a node allows. */
export type Policy = Pick<Configuration, "allow" | "ids">;

/**
 * @param key of the guest's description, without `com.urunc.unikernel.`
 * @throws NotAllowedError naming the key, unless `allow.annotations` has it
 */
export function requireAllowedKey(key: string, { allow }: Pick<Policy, "allow">): void {
  if (isListed(allow.annotations, key)) return;
  throw notAllowed(
    keyPrefix + key,
    `allow.annotations has only ${listed(allow.annotations)}`,
    `leave the key out, or allow "${key}" there`,
  );
}

/**
 * @param accelerator what the guest would run with
 * @throws NotAllowedError naming the key that asks for a monitor, or an accelerator, that `allow.monitors`
 *   and `allow.accelerators` do not have
 */
export function requireAllowedMonitor(
  { name, accelerators }: Pick<Monitor, "name" | "accelerators">,
  accelerator: "kvm" | "tcg",
  { allow }: Pick<Policy, "allow">,
): void {
  if (!isListed(allow.monitors, name)) {
    throw notAllowed(
      `${keyPrefix}hypervisor "${name}"`,
      `allow.monitors has only ${listed(allow.monitors)}`,
      "use an image for one of these, or add it there",
    );
  }
  // One that needs none runs with none.
  if (accelerators.length === 0 || isListed(allow.accelerators, accelerator)) return;
  throw notAllowed(
    `accelerator "${accelerator}"`,
    `allow.accelerators has only ${listed(allow.accelerators)}`,
    `${keyPrefix}accelerator of the image, and accelerator in the configuration, choose another`,
  );
}

/**
 * @param subject names the volume or device of config.json, and its path
 * @throws NotAllowedError unless `allow.host_devices`
 */
export function requireAllowedDevice(subject: string, { allow }: Pick<Policy, "allow">): void {
  if (allow.host_devices) return;
  throw notAllowed(
    subject,
    "it is a block device of the host, and allow.host_devices is false",
    "give the guest a disk image (*.img), or allow it there",
  );
}

/**
 * @param monitor who it is on the host
 * @throws NotAllowedError for uid 0, unless `allow.root_monitor`
 */
export function requireAllowedUser(
  { monitor }: Pick<Users, "monitor">,
  { allow }: Pick<Policy, "allow">,
): void {
  if (monitor.uid !== 0 || allow.root_monitor) return;
  throw notAllowed(
    "process.user.uid 0",
    "the monitor would run as root, and allow.root_monitor is false",
    "give the container a user (docker: --user; Kubernetes: securityContext.runAsUser), or set " +
      "ids.default_user or ids.mode there",
  );
}

/**
 * For a guest that sees files of the host.
 *
 * @param files who the file server is: also where the monitor is a user of its own, the container's
 * @param maps in place of that: it is root of a user namespace, and acts as whomever of the host that has
 * @throws NotAllowedError for uid 0, unless `allow.root_monitor`
 */
export function requireAllowedFileServer(
  { files }: Pick<Users, "files">,
  maps: IdMaps | undefined,
  { allow, ids }: Pick<Policy, "allow" | "ids">,
): void {
  if (maps !== undefined) {
    if (!maps.uids.some(({ hostID }) => hostID === 0)) return;
    if (allow.root_monitor && ids.default_user === undefined) return;
    throw notAllowed(
      "config.json linux.uidMappings",
      "an id is mapped to root of the host, as whom files would be served, and " +
        (allow.root_monitor ? "ids.default_user replaces root" : "allow.root_monitor is false"),
      "map none to 0",
    );
  }
  if (files.uid !== 0 || allow.root_monitor) return;
  throw notAllowed(
    "process.user.uid 0",
    "the file server would run as root, and allow.root_monitor is false",
    "give the container a user (docker: --user; Kubernetes: securityContext.runAsUser), or set " +
      "ids.default_user there",
  );
}

/**
 * `ids.default_user` in place of uid 0. config.json does not say whether 0 was asked for, or no user was.
 * Root's groups go, too: docker adds those that the image's /etc/group has for root, such as 6, `disk`.
 */
function withDefaultUser(user: User, { default_user }: Policy["ids"]): User {
  if (user.uid !== 0 || default_user === undefined) return user;
  const [uid, gid] = default_user.split(":").map(Number);
  return { ...user, uid: uid!, gid: gid!, additionalGids: [] };
}

/** Who is who of a container. */
export interface Users {
  /** Of config.json: who the program is in a guest with an agent. */
  guest: User;
  /** Whose rights decide over the files of the host that config.json names. */
  files: User;
  /** Who the monitor is on the host, and the container's process. */
  monitor: User;
}

/**
 * Who is who of a container, as config.json and the operator have it. In a user namespace, uid 0 of the
 * container is another one on the host, and so not replaced. With `ids.mode`s "uid" and "userns" the monitor has no groups
 * besides its own: whatever a group may open, several containers may. What the monitor needs is made for
 * its uid, or opened before.
 *
 * @param allocated the uid and gid that this container has out of `ids.range`; the range's first, which
 *   it need not become, when only a plan is made
 */
export function planUsers(
  { process, linux }: Pick<Spec, "process" | "linux">,
  { ids }: Pick<Policy, "ids">,
  allocated?: number,
): Users {
  const guest = process.user;
  const files = withDefaultUser(userOnHost(guest, linux), ids);
  if (ids.mode === "container") return { guest, files, monitor: files };
  const id = allocated ?? parseIdRange(ids.range!)!.first;
  return { guest, files, monitor: { ...files, uid: id, gid: id, additionalGids: [] } };
}

function isListed(patterns: readonly string[], name: string): boolean {
  return patterns.some((pattern) => matchesPattern(pattern, name));
}

function listed(patterns: readonly string[]): string {
  return patterns.length === 0 ? "an empty list" : patterns.map((it) => `"${it}"`).join(", ");
}

function notAllowed(subject: string, reason: string, remedy: string): NotAllowedError {
  return new NotAllowedError({
    operation: "check the operator's policy",
    subject,
    reason: `${reason} in the configuration`,
    remedy,
  });
}
