/** Annotations whose value names the group of containers that share a shim, the first one first. */
const GROUP_ANNOTATIONS = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

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

/**
 * Where a group's shim listens: a file for each containerd, namespace and group.
 *
 * @param address of containerd's main socket
 * @returns an absolute path
 */
export async function socketPath(
  address: string,
  namespace: string,
  group: string,
): Promise<string> {
  const text = new TextEncoder().encode(`${address}/${namespace}/${group}`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", text));
  return `${SOCKET_DIRECTORY}/${digest.toHex()}`;
}
