import { readCgroupLayout } from "../cgroups/layout.ts";
import { cgroupProcesses } from "../cgroups/processes.ts";
import type { TapOwner } from "../network/owner.ts";
import { isAlive } from "../os/alive.ts";

/**
 * Whether the container that has a tap lives: its process, or what that has left in its cgroup. To be
 * asked in the PID namespace in which the owner's number was written.
 *
 * @param ownCgroup of the container that asks: nothing but its own processes is in it
 */
export function isGuestAlive({ pid, startTime, cgroup }: TapOwner, ownCgroup?: string): boolean {
  if (isAlive(pid, startTime)) return true;
  if (cgroup === undefined || cgroup === ownCgroup) return false;
  const { v1, v2 } = readCgroupLayout();
  const mountPoints = [...Object.values(v1), ...(v2 === undefined ? [] : [v2.mountPoint])];
  return cgroupProcesses(mountPoints.map((it) => `${it}${cgroup}`)).length > 0;
}
