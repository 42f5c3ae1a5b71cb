import { cgroupProcesses } from "../cgroups/processes.ts";
import { isAlive } from "../os/alive.ts";
import { readIfThere } from "../os/files.ts";
import { readProcessStat } from "../os/process.ts";
import type { ContainerState } from "./state.ts";

/**
 * The monitor's pid, as this process's PID namespace has it: the container's process is the waiter
 * (lib/build/waiter), and the monitor its first child. It is looked for, never remembered.
 *
 * @returns the container's process itself when it has no child: the monitor has exited, or the container
 *   is one of a urunc that had no waiter. What is left in the cgroup when that process has exited.
 *   Undefined without a process
 */
export function monitorPid(state: ContainerState): number | undefined {
  const { pid, pidStartTime, cgroupPaths, fileServer } = state;
  if (pid === undefined) return undefined;
  const only = onlyChild(pid);
  if (only !== undefined && !(fileServer && isFileServer(only, pid))) return only;
  const [first] = childrenOf(state).filter((child) => !(fileServer && isFileServer(child, pid)));
  if (first !== undefined) return first;
  return isAlive(pid, pidStartTime) ? pid : cgroupProcesses(cgroupPaths)[0] ?? pid;
}

/**
 * The file server's pid, as this process's PID namespace has it: another child of the container's process.
 *
 * @returns undefined when there is none (any more)
 */
export function fileServerPid(state: ContainerState): number | undefined {
  const { pid, fileServer } = state;
  if (!fileServer || pid === undefined) return undefined;
  return childrenOf(state).find((child) => isFileServer(child, pid));
}

/** It alone has a mount namespace of its own, which none of a container's processes could make. */
function isFileServer(child: number, parent: number): boolean {
  const mounts = (pid: number) => readLinkIfThere(`/proc/${pid}/ns/mnt`);
  const own = mounts(child);
  return own !== undefined && own !== mounts(parent);
}

function readLinkIfThere(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** Of the container's process, the first one first. */
function childrenOf({ pid, cgroupPaths }: ContainerState): number[] {
  const candidates = cgroupPaths.length === 0 ? allProcesses() : cgroupProcesses(cgroupPaths);
  const children = candidates.flatMap((candidate) => {
    const stat = readProcessStat(candidate);
    return stat !== undefined && stat.parentPid === pid
      ? [{ pid: candidate, began: BigInt(stat.startTime) }]
      : [];
  });
  // What a monitor starts and leaves behind becomes the waiter's child, too, but began later.
  children.sort((a, b) => a.began === b.began ? a.pid - b.pid : a.began < b.began ? -1 : 1);
  return children.map((child) => child.pid);
}

/**
 * The child of a process that has only one, and no zombie: one file in place of one for each hierarchy of
 * cgroups. Undefined otherwise, and where the kernel has no such file.
 *
 * @see proc_tid_children(5): a child may be missing while another one exits; then there was more than one
 */
function onlyChild(pid: number): number | undefined {
  const text = readIfThere(`/proc/${pid}/task/${pid}/children`, "ESRCH")?.trim();
  if (text === undefined || !/^\d+$/.test(text)) return undefined;
  const stat = readProcessStat(Number(text));
  return stat?.parentPid === pid && !"ZX".includes(stat.state) ? Number(text) : undefined;
}

/** Where no hierarchy of cgroups is to be had. */
function allProcesses(): number[] {
  return [...Deno.readDirSync("/proc")].map(({ name }) => Number(name)).filter(Number.isInteger);
}
