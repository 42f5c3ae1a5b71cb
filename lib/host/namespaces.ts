/**
 * Namespaces that init makes for a monitor, apart from those of the container's process, and for a file
 * server, which alone has one of mounts.
 */
export type MonitorNamespace = "network" | "ipc" | "pid" | "mount";

/** All that a monitor may be in apart from it: the monitor's own process enters a user namespace. */
export type OwnNamespace = MonitorNamespace | "user";

/** Those of a file server: all that it could meet another process in. */
export const FILE_SERVER_NAMESPACES: readonly MonitorNamespace[] = [
  "mount",
  "network",
  "ipc",
  "pid",
];

/** Their names below /proc/PID/ns. */
export const NAMESPACE_FILES: Record<OwnNamespace, string> = {
  network: "net",
  ipc: "ipc",
  pid: "pid",
  mount: "mnt",
  user: "user",
};

/** All that a process is in, but time: the names below /proc/PID/ns. */
const FILES = ["user", "mnt", "net", "ipc", "uts", "cgroup", "pid"] as const;

/** The namespaces of a process, as the kernel names them: `net:[4026531840]`. */
export type Namespaces = Record<(typeof FILES)[number], string>;

/**
 * Reads which namespaces a process is in.
 *
 * @param pid in this process's PID namespace
 * @throws an error of Deno when it does not exist (any more)
 */
export function readNamespaces(pid: number): Namespaces {
  const read = (file: string) => Deno.readLinkSync(`/proc/${pid}/ns/${file}`);
  return Object.fromEntries(FILES.map((file) => [file, read(file)])) as Namespaces;
}

/** The name that the kernel gives a user namespace, of the inode that its file has. */
export function userNamespaceName(inode: number): string {
  return `user:[${inode}]`;
}

/** Where a process should be. */
export interface PlannedNamespaces {
  /** The namespaces of the container. */
  container: Namespaces;
  /** Those of the runtime, of which none may be one that is the process's own. */
  runtime: Namespaces;
  /** Which are to be others than the container's, of this process alone. */
  own?: readonly OwnNamespace[];
}

/**
 * Compares where a process is with where it should be.
 *
 * @returns a sentence for each difference
 */
export function compareNamespaces(
  actual: Namespaces,
  { container, runtime, own = [] }: PlannedNamespaces,
): string[] {
  const owned = new Set(own.map((it) => NAMESPACE_FILES[it]));
  return FILES.flatMap((file) => {
    const isOwn = actual[file] !== container[file] && actual[file] !== runtime[file];
    if (owned.has(file) ? isOwn : actual[file] === container[file]) return [];
    const planned = owned.has(file) ? "one of its own" : container[file];
    return [`${file} namespace is ${actual[file]}, planned was ${planned}`];
  });
}
