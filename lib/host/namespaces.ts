/** Namespaces that a monitor may have for itself, apart from those of the container's process. */
export type MonitorNamespace = "network" | "ipc" | "pid";

/** Their names below /proc/PID/ns. */
export const NAMESPACE_FILES: Record<MonitorNamespace, string> = {
  network: "net",
  ipc: "ipc",
  pid: "pid",
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

/**
 * Compares where a process is with where it should be.
 *
 * @param container the namespaces of the container
 * @param own which are to be others, of this process alone
 * @returns a sentence for each difference
 */
export function compareNamespaces(
  actual: Namespaces,
  container: Namespaces,
  own: readonly MonitorNamespace[] = [],
): string[] {
  const others = new Set(own.map((it) => NAMESPACE_FILES[it]));
  return FILES.flatMap((file) => {
    const isContainers = actual[file] === container[file];
    if (isContainers === !others.has(file)) return [];
    const planned = others.has(file) ? "one of its own" : container[file];
    return [`namespace is ${actual[file]}, planned was ${planned}`];
  });
}
