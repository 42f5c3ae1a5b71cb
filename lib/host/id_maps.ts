import { close, ioctl, O_CLOEXEC, O_RDONLY, open } from "../../ffi/linux.ts";
import { formatMap } from "../oci/id_mappings.ts";
import type { IdMapping, IdMaps } from "../oci/types.ts";
import { userNamespaceName } from "./namespaces.ts";
import { type FileIdentity, isSameIdentity, readFileIdentity } from "../os/files.ts";

/** The user namespace that a monitor must be in. */
export interface ExpectedUserNamespace extends IdMaps {
  /** Of one that is joined, as /proc/PID/ns/user has it: `user:[4026532567]`. */
  name?: string;
  /** The uid that owns one that is made. An older urunc did not note it. */
  owner?: number;
}

/**
 * Who owns the user namespaces that are made: lib/build/waiter/waiter.c, OWNER. A uid that nobody has:
 * a process outside of them that has it has every capability over them (user_namespaces(7)).
 */
export const NAMESPACE_OWNER = 4294967294;

/** linux/nsfs.h: _IO(0xb7, 0x4) */
const NS_GET_OWNER_UID = 0xb704;

/**
 * The uid that owns the user namespace of a process.
 *
 * @param pid in this process's PID namespace
 * @returns 65534 (kernel.overflowuid) when this process's user namespace has no number for it
 * @throws LinuxError when there is no such process (any more)
 * @see ioctl_nsfs(2)
 */
export function readNamespaceOwner(pid: number): number {
  const fd = open(`/proc/${pid}/ns/user`, O_RDONLY | O_CLOEXEC);
  try {
    const owner = new Uint32Array(1);
    ioctl(fd, NS_GET_OWNER_UID, new Uint8Array(owner.buffer));
    return owner[0]!;
  } finally {
    close(fd);
  }
}

/**
 * Compares the mappings of a process's user namespace with the planned ones.
 *
 * @returns a sentence for each difference
 */
export function compareIdMaps(actual: IdMaps, planned: IdMaps): string[] {
  return (["uids", "gids"] as const).flatMap((ids) => {
    const [is, was] = [formatMap(actual[ids]), formatMap(planned[ids])];
    return is === was ? [] : [`mapping of ${ids} is ${is}, planned was ${was}`];
  });
}

/** What is written to /proc/PID/uid_map, or gid_map. */
export function idMapText(mappings: readonly IdMapping[]): string {
  return mappings.map((it) => `${it.containerID} ${it.hostID} ${it.size}\n`).join("");
}

/**
 * Parses /proc/PID/uid_map, or gid_map: lines of an id inside, one outside, and how many.
 *
 * @see user_namespaces(7)
 */
export function parseIdMap(text: string): IdMapping[] {
  return text.split("\n").filter((line) => line.trim() !== "").map((line) => {
    const [containerID, hostID, size] = line.trim().split(/\s+/).map(Number);
    return { containerID: containerID!, hostID: hostID!, size: size! };
  });
}

/**
 * How a process's user namespace maps ids to those of this process's.
 *
 * @throws an error of Deno when there is no such process (any more)
 */
export function readIdMaps(pid: number | string): IdMaps {
  const read = (name: string) => parseIdMap(Deno.readTextFileSync(`/proc/${pid}/${name}`));
  return { uids: read("uid_map"), gids: read("gid_map") };
}

/**
 * The mappings of a user namespace, by a process that is in it: the kernel says them of a process only.
 *
 * @param path that leads to it, which is looked up once
 * @returns with the namespace's name; undefined when nothing is at the path, or no process in that namespace
 *   is found
 */
export function readMapsOfNamespace(
  path: string,
): (IdMaps & Required<Pick<ExpectedUserNamespace, "name">>) | undefined {
  const namespace = readFileIdentity(path);
  if (namespace === undefined) return undefined;
  const [, named] = /^\/proc\/(\d+)\/(?:task\/\d+\/)?ns\/user$/.exec(path) ?? [];
  const pids = [...Deno.readDirSync("/proc")].map(({ name }) => name);
  for (const pid of [named ?? "", ...pids]) {
    const maps = /^\d+$/.test(pid) ? readMapsIn(pid, namespace) : undefined;
    if (maps !== undefined) return { ...maps, name: userNamespaceName(namespace.ino!) };
  }
  return undefined;
}

function readMapsIn(pid: string, namespace: FileIdentity): IdMaps | undefined {
  const isIn = () => isSameIdentity(namespace, readFileIdentity(`/proc/${pid}/ns/user`));
  try {
    if (!isIn()) return undefined;
    const maps = readIdMaps(pid);
    // The number may have become another process's between the two.
    return isIn() ? maps : undefined;
  } catch {
    return undefined;
  }
}
