import type { CgroupLayout } from "../../host/types.ts";
import type { Resources } from "../../oci/types.ts";
import type { DeviceCgroup } from "../../plan/launch.ts";
import { makeDirectories, surveyDirectories } from "./directories.ts";
import { deviceCgroup, placeCgroup } from "./plan.ts";
import type { CgroupPlan } from "./plan.ts";
import { joinCgroup } from "./processes.ts";
import { applyResources, planResources } from "./resources.ts";
import type { CgroupWrite } from "./writes.ts";

export { removeCgroup } from "./directories.ts";
export { cgroupProcesses, killCgroup, signalCgroup } from "./processes.ts";

/** A container's cgroups, decided and not yet made. */
export interface Cgroup {
  plan: CgroupPlan;
  /** Limits, in the order in which they are set. */
  limits: CgroupWrite[];
  /** What making it will add to the cgroup file systems, for the container's state. */
  directories: string[];
  /** Which of them decides about devices. */
  deviceCgroup?: DeviceCgroup;
  /** Moves a process into it, once it was made. Throws HostError. */
  join(pid: number): void;
}

/**
 * Decides a container's cgroups and limits, and looks whether they are free. Makes nothing.
 *
 * @param cgroupsPath `linux.cgroupsPath`
 * @throws InvalidConfigurationError, UnsupportedError or HostError naming the property or directory
 */
export function planCgroup(
  layout: CgroupLayout,
  cgroupsPath: string | undefined,
  id: string,
  resources: Resources,
): Cgroup {
  const plan = placeCgroup(layout, cgroupsPath, id);
  const limits = planResources(resources, plan);
  const directories = surveyDirectories(plan);
  return {
    plan,
    limits,
    directories,
    deviceCgroup: deviceCgroup(plan),
    join: (pid) => joinCgroup(directories, pid),
  };
}

/**
 * Makes a planned cgroup and sets its limits.
 *
 * @throws HostError naming the directory or file; what was made stays, for `removeCgroup`
 */
export function makeCgroup(cgroup: Cgroup): void {
  makeDirectories(cgroup.plan);
  applyResources(cgroup.limits);
}
