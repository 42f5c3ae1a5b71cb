import { locateCgroup } from "../container/cgroups/plan.ts";
import { readOomKills } from "../container/cgroups/stats.ts";
import { readCgroupLayout } from "../host/cgroups.ts";

/**
 * Whether the kernel has killed a process of a container because its memory limit was reached.
 *
 * @param directories of the container's cgroups
 */
export function hadOutOfMemoryKill(directories: string[]): boolean {
  try {
    return (readOomKills(locateCgroup(readCgroupLayout(), directories)) ?? 0n) > 0n;
  } catch {
    // They are gone already: then nobody can tell.
    return false;
  }
}
