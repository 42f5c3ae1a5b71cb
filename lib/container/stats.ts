import { WrongStateError } from "../errors.ts";
import { readCgroupLayout } from "../cgroups/layout.ts";
import { type CgroupPlan, locateCgroup } from "../cgroups/plan.ts";
import { readStats } from "../cgroups/stats.ts";
import type { Stats } from "../cgroups/stats_types.ts";
import { containerStatus } from "./pause.ts";
import type { ContainerState } from "./state.ts";

/**
 * Where a container's resources are counted.
 *
 * @throws WrongStateError when it has ended, and nothing is counted any more
 */
export function requireCounting(state: ContainerState): CgroupPlan {
  const status = containerStatus(state);
  if (status !== "stopped" && status !== "creating") {
    return locateCgroup(readCgroupLayout(), state.cgroupPaths);
  }
  throw new WrongStateError({
    operation: "read statistics of container",
    subject: state.id,
    reason: `container not running: it is ${status}`,
  });
}

/**
 * What a container has used until now: the monitor, its guest's processors and memory among it.
 *
 * @throws WrongStateError when it has ended
 */
export function containerStats(state: ContainerState): Stats {
  return readStats(requireCounting(state));
}
