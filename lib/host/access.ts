import type { AclEntry, DeviceFacts } from "./types.ts";

/** The credentials a monitor will have; no capabilities, whatever the uid. */
export interface Credentials {
  uid: number;
  gid: number;
  /** Supplementary groups. */
  groups: number[];
  /** By a mount that maps ids: its uid 0 is not the host's. */
  isMapped?: true;
}

/**
 * Whether a container's user overrides permissions: uid 0 does, to which an OCI runtime leaves
 * CAP_DAC_OVERRIDE by default.
 */
export function overridesPermissions({ uid, isMapped }: Credentials): boolean {
  return uid === 0 && isMapped === undefined;
}

/** The facts that decide who may open a file or device. */
export type Guarded = Pick<DeviceFacts, "uid" | "gid" | "mode" | "acl">;

/** Permission bits as in a mode's last digit. */
export const READ = 4;
export const WRITE = 2;
/** Of a directory. */
export const SEARCH = 1;

/**
 * Whether the kernel lets a process without capabilities open this device. Uid 0 is an ordinary uid
 * here: only CAP_DAC_OVERRIDE makes root special, and a monitor does not have it.
 *
 * In the kernel's order: for the owner only the owner's bits decide; otherwise the access control list,
 * if there is one and its mask (the mode's group bits) is not empty; otherwise the group's bits for a
 * member, and the others' bits for the rest.
 *
 * @param want permission bits, rwx as 4, 2, 1
 * @see acl_permission_check() in fs/namei.c, posix_acl_permission() in fs/posix_acl.c
 */
export function mayAccess(device: Guarded, who: Credentials, want: number): boolean {
  const grants = (permissions: number) => (permissions & want) === want;
  if (who.uid === device.uid) return grants(device.mode >> 6);
  if (device.acl !== undefined && (device.mode & 0o070) !== 0) {
    return aclGrants(device.acl, device.gid, who, grants);
  }
  return isMember(who, device.gid) ? grants(device.mode >> 3) : grants(device.mode);
}

function aclGrants(
  acl: AclEntry[],
  owningGroup: number,
  who: Credentials,
  grants: (permissions: number) => boolean,
): boolean {
  const mask = acl.find((entry) => entry.tag === "mask")?.permissions ?? 7;
  const user = acl.find((entry) => entry.tag === "user" && entry.id === who.uid);
  if (user !== undefined) return grants(user.permissions & mask);
  const groups = acl.filter((entry) =>
    (entry.tag === "group_obj" && isMember(who, owningGroup)) ||
    (entry.tag === "group" && entry.id !== undefined && isMember(who, entry.id))
  );
  // For a member of listed groups only their entries decide, never the others' bits; one entry must
  // grant everything that is wanted.
  if (groups.length > 0) return groups.some((entry) => grants(entry.permissions & mask));
  return grants(acl.find((entry) => entry.tag === "other")?.permissions ?? 0);
}

function isMember(who: Credentials, gid: number): boolean {
  return who.gid === gid || who.groups.includes(gid);
}

/**
 * Explains the result of `mayAccess`; for a refusal with what would change it: the group, docker's flag
 * and the Kubernetes field.
 *
 * @param want permission bits; reading and writing by default
 * @param groupName looks up a group's name, if the caller can
 * @returns a sentence fragment without a full stop
 */
export function explainAccess(
  device: Guarded & { path: string },
  who: Credentials,
  want: number = READ | WRITE,
  groupName: (gid: number) => string | undefined = () => undefined,
): string {
  const named = (gid: number) => {
    const name = groupName(gid);
    return name === undefined ? `${gid}` : `${gid} (${name})`;
  };
  const mode = (device.mode & 0o7777).toString(8).padStart(4, "0");
  const acl = device.acl === undefined ? "" : " and an access control list";
  const node = `${device.path} belongs to uid ${device.uid}, group ${
    named(device.gid)
  }, with mode ${mode}${acl}`;
  const groups = who.groups.length === 0 ? "no groups" : `groups ${who.groups.join(",")}`;
  const subject = `uid ${who.uid}, gid ${who.gid} with ${groups}`;
  if (mayAccess(device, who, want)) return `${node}: ${subject} may use it`;
  const gid = grantingGroup(device, who, want);
  if (gid === undefined) {
    return `${node}: ${subject} may not use it, and membership of a group would not change that: ` +
      `let a group have it (chgrp kvm ${device.path}; chmod 0660 ${device.path}), or set ` +
      'device_access = "private"';
  }
  return `${node}: ${subject} may not use it; ` +
    `membership of group ${named(gid)} would allow it ` +
    `(docker: --group-add ${gid}; Kubernetes: securityContext.supplementalGroups: [${gid}])`;
}

function grantingGroup(device: Guarded, who: Credentials, want: number): number | undefined {
  const candidates = [
    device.gid,
    ...(device.acl ?? []).flatMap((entry) =>
      entry.tag === "group" && entry.id !== undefined ? [entry.id] : []
    ),
  ];
  return candidates.find((gid) =>
    mayAccess(device, { ...who, groups: [...who.groups, gid] }, want)
  );
}
