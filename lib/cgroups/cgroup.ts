import type { CgroupLayout } from "../host/types.ts";
import type { Resources } from "../oci/types.ts";
import type { DeviceCgroup } from "./plan.ts";
import { requireSystemd } from "./systemd/manager.ts";
import {
  delegatedControllers,
  makeDirectories,
  requireUnused,
  surveyDirectories,
} from "./directories.ts";
import { deviceCgroup, placeCgroup } from "./plan.ts";
import type { CgroupPlan } from "./plan.ts";
import { joinCgroup } from "./processes.ts";
import { applyResources, planResources } from "./resources/resources.ts";
import { delegateMissing, startScope } from "./systemd/scope_cgroup.ts";
import { annotationProperties } from "./systemd/annotations.ts";
import { limitProperties, scopeProperties } from "./systemd/properties.ts";
import { placeScope } from "./systemd/scope.ts";
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
  /** The unit that systemd makes for it. */
  unit?: string;
  /** Makes it and sets its limits. Throws HostError. */
  make(): void;
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
  const limits = [...planResources(resources, plan), ...endTogether(plan)];
  const directories = surveyDirectories(plan);
  return {
    plan,
    limits,
    directories,
    deviceCgroup: deviceCgroup(plan),
    make() {
      makeDirectories(plan, delegatedControllers(plan, limits));
      applyResources(limits);
    },
    join: (pid) => joinCgroup(directories, pid),
  };
}

/**
 * As `planCgroup`, for a cgroup that systemd makes. Its directories above the container's own are
 * systemd's, and nothing of ours.
 *
 * @param cgroupsPath `linux.cgroupsPath`, of the form `slice:prefix:name`
 * @param annotations some of `org.systemd.property.*` are honoured
 * @throws as `planCgroup`; HostError where systemd does not run
 */
export function planScope(
  layout: CgroupLayout,
  cgroupsPath: string | undefined,
  id: string,
  resources: Resources,
  annotations: Record<string, string>,
): Cgroup {
  requireSystemd();
  const { scope, plan } = placeScope(layout, cgroupsPath, id);
  const limits = [...planResources(resources, plan), ...endTogether(plan)];
  const directories = [plan.v2!.directory];
  directories.forEach(requireUnused);
  const properties = [
    ...scopeProperties(scope, id),
    ...limitProperties(limits),
    ...annotationProperties(annotations),
  ];
  return {
    plan,
    limits,
    directories,
    deviceCgroup: deviceCgroup(plan),
    unit: scope.unit,
    // A scope needs a process: it is created when one joins.
    make() {},
    join(pid) {
      startScope(scope.unit, plan, properties, pid);
      delegateMissing(plan, limits);
      applyResources(limits);
    },
  };
}

/**
 * Of a container that runs out of memory all processes are killed, and not the largest alone: the monitor
 * cannot go on without its waiter, nor the guest without what serves it.
 */
function endTogether({ v1, v2 }: CgroupPlan): CgroupWrite[] {
  if (v1.length > 0 || !v2?.controllers.includes("memory")) return [];
  return [{ file: `${v2.directory}/memory.oom.group`, value: "1", mayBeMissing: true }];
}

/**
 * Makes a planned cgroup and sets its limits; systemd does both when a process joins.
 *
 * @throws HostError naming the directory or file; what was made stays, for `removeCgroup`
 */
export function makeCgroup(cgroup: Cgroup): void {
  cgroup.make();
}
