import { HostError } from "../errors.ts";
import { isAlive } from "../os/alive.ts";
import { readProcessStat } from "../os/process.ts";
import type { CgroupPlan, HierarchyPlan } from "./plan.ts";
import { cgroupProcesses } from "./processes.ts";

/**
 * The planned directories that a process is not seen in.
 *
 * @param text of its /proc/PID/cgroup
 * @see cgroups(7), /proc/PID/cgroup: `ID:CONTROLLERS:PATH`, the controllers of cgroup2 being none
 */
export function missedDirectories(text: string, { path, v1, v2 }: CgroupPlan): string[] {
  // What is cold is slow, and nearly always this is all.
  if (text.trimEnd().split("\n").every((line) => pathOf(line) === path)) return [];
  const paths = new Map<string, string>();
  for (const line of text.split("\n")) {
    const [, controllers, at] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    for (const controller of controllers?.split(",") ?? []) paths.set(controller, at!);
  }
  const misses = (controller: string, { directory }: HierarchyPlan) =>
    paths.get(controller) === path ? [] : [directory];
  return [
    ...v1.flatMap((hierarchy) => misses(hierarchy.controllers[0]!, hierarchy)),
    ...(v2 === undefined ? [] : misses("", v2)),
  ];
}

function pathOf(line: string): string {
  return line.slice(line.indexOf(":", line.indexOf(":") + 1) + 1);
}

/**
 * Checks that a process is in all cgroups that were made for it: outside of one it would run without
 * its limits, and outlive the container.
 *
 * @throws HostError naming the directory; Deno.errors.NotFound when the process does not exist
 */
export function requireMember(plan: CgroupPlan, pid: number): void {
  const missed = missedDirectories(Deno.readTextFileSync(`/proc/${pid}/cgroup`), plan)
    // Where a hierarchy's mount shows a part of it only, paths in it are other ones.
    .find((directory) => !cgroupProcesses([directory]).includes(pid));
  // Nothing can be seen there of a process that has exited; its state shows that.
  if (missed === undefined || !isAlive(pid, readProcessStat(pid)?.startTime)) return;
  throw new HostError({
    operation: "prove the container's cgroup",
    subject: missed,
    reason: `process ${pid} was moved out of it: without it no limit holds`,
    remedy: "let no hook and no other program move a container's process while it is created",
  });
}
