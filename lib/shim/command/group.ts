import { SANDBOX_ID } from "../../oci/annotations.ts";

/** Annotations whose value names the group of containers that share a shim, the first one first. */
const GROUP_ANNOTATIONS = ["io.containerd.runc.v2.group", SANDBOX_ID];

/** containerd keeps the sockets of all shims there, whatever its own directories are. */
export const SOCKET_DIRECTORY = "/run/containerd/s";

/** What decides which shim a container gets. */
export interface GroupInput {
  id: string;
  annotations: Record<string, string>;
  /** From the configuration. */
  shimGroup: "container" | "namespace";
}

/**
 * The group of containers that one shim serves: a pod by its annotations, all of a containerd
 * namespace when so configured, else the container alone.
 */
export function groupOf({ id, annotations, shimGroup }: GroupInput): string {
  if (shimGroup === "namespace") return NAMESPACE_GROUP;
  for (const name of GROUP_ANNOTATIONS) {
    const group = annotations[name];
    if (group !== undefined) return group;
  }
  return id;
}

/** No container's id: it holds a character that ids do not. */
const NAMESPACE_GROUP = "*";

/** Parameters of FNV-1a with 128 bits, draft-eastlake-fnv section 5. */
const FNV_OFFSET_BASIS = 0x6c62272e07bb014262b821756295c58dn;
const FNV_PRIME = (1n << 88n) + 0x13bn;

/**
 * Where a group's shim listens: a file for each containerd, namespace and group. Its name is a hash
 * that is short to write, because lib/build/stub/shim.c computes it, too. It need not resist somebody
 * who searches for two groups with the same name: who chooses a group can name any other outright.
 *
 * @param address of containerd's main socket
 * @returns an absolute path
 */
export function socketPath(address: string, namespace: string, group: string): string {
  let hash = FNV_OFFSET_BASIS;
  for (const byte of new TextEncoder().encode(`${address}/${namespace}/${group}`)) {
    hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * FNV_PRIME);
  }
  return `${SOCKET_DIRECTORY}/${hash.toString(16).padStart(32, "0")}`;
}
