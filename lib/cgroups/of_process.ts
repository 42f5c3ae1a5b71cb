import { readCgroupLayout } from "./layout.ts";

/**
 * Directories of the cgroups that a process is in.
 *
 * @param pid of a process
 * @returns none when it has ended
 * @see cgroups(7), "/proc/pid/cgroup"
 */
export function cgroupsOfProcess(pid: number): string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/cgroup`);
  } catch {
    return [];
  }
  const { v1, v2 } = readCgroupLayout();
  const directories = text.split("\n").flatMap((line) => {
    const [, , controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined || path === "/") return [];
    const mountPoint = controllers === ""
      ? v2?.mountPoint
      : controllers.split(",").map((name) => v1[name]).find((it) => it !== undefined);
    return mountPoint === undefined ? [] : [`${mountPoint}${path}`];
  });
  return [...new Set(directories)];
}
