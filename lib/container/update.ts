import { InvalidConfigurationError, WrongStateError } from "../errors.ts";
import { readCgroupLayout } from "../cgroups/layout.ts";
import { processorLimit } from "../oci/processors.ts";
import { memoryLimits } from "../oci/memory_limits.ts";
import type { Resources } from "../oci/types.ts";
import { completeResources, readCurrentLimits } from "../cgroups/resources/current.ts";
import { locateCgroup } from "../cgroups/plan.ts";
import { applyResources, changeResources, planResources } from "../cgroups/resources/resources.ts";
import { requireEnough } from "../plan/processes.ts";
import { updateScope } from "../cgroups/systemd/scope_cgroup.ts";
import { containerStatus } from "./pause.ts";
import { requireState } from "./require.ts";
import type { ContainerState } from "./state.ts";
import type { Store } from "./store.ts";

/**
 * Changes limits of a container that has not ended: all that are given, or none.
 *
 * The guest keeps the memory and the processors that it was made with, so a memory limit may be
 * raised, and lowered to what guest and monitor take up. Device rules are not changed: they allow
 * exactly the monitor's own nodes.
 *
 * @param changes what is not mentioned stays
 * @param warn takes what is changed of the monitor and not of the guest, a sentence each
 * @throws NotFoundError; WrongStateError when it is stopped or not created yet;
 *   InvalidConfigurationError, UnsupportedError or HostError naming the property or the file
 */
export async function updateContainer(
  store: Store,
  id: string,
  changes: Resources,
  warn?: (warning: string) => void,
): Promise<void> {
  const directory = store.open(id);
  requireUpdatable(requireState(directory));
  using _lock = await directory.lockAsync();
  const state = requireState(directory);
  requireUpdatable(state);
  const plan = locateCgroup(readCgroupLayout(), state.cgroupPaths);
  const current = readCurrentLimits(plan);
  checkMemory(changes, state, current.memory);
  requireEnough(changes, { operation: "update container", needed: state.processes ?? 0 });
  const complete = completeResources(changes, current);
  if (changesProcessors(changes)) warnOfProcessors(complete, state, warn);
  const writes = planResources(complete, plan);
  changeResources(writes, () => {
    if (state.systemdUnit === undefined) return;
    updateScope(state.systemdUnit, writes);
    // It writes the files itself, and rounds what it writes.
    applyResources(writes);
  });
}

function requireUpdatable(state: ContainerState): void {
  const status = containerStatus(state);
  if (status !== "stopped" && status !== "creating") return;
  throw new WrongStateError({
    operation: "update container",
    subject: state.id,
    // As runc words it.
    reason: `container not running: it is ${status}`,
  });
}

function changesProcessors({ cpu, unified }: Resources): boolean {
  const { quota, period, cpus } = cpu;
  const own = [unified["cpu.max"], unified["cpuset.cpus"]];
  return [quota, period, cpus, ...own].some((it) => it !== undefined);
}

/** A monitor that may use more or fewer processors still shows its guest as many as before. */
function warnOfProcessors(
  resources: Resources,
  { vcpus }: ContainerState,
  warn?: (warning: string) => void,
): void {
  const limit = processorLimit(resources);
  if (limit === undefined || vcpus === undefined || limit === vcpus) return;
  warn?.(
    `the guest keeps the virtual processors that it was created with, ${vcpus}; the limit is ` +
      `now ${limit}`,
  );
}

/** @throws InvalidConfigurationError for a limit that the guest, once it uses its memory, dies of */
function checkMemory(
  changes: Resources,
  state: ContainerState,
  currentLimit: number | undefined,
): void {
  // An older urunc wrote no need down: what it made fits into the limit of now.
  const needed = state.memoryBytes ?? currentLimit ?? 0;
  for (const { property, bytes } of memoryLimits(changes)) {
    if (bytes >= needed) continue;
    throw new InvalidConfigurationError({
      operation: "update container",
      subject: `linux.resources.${property}`,
      reason: `${bytes} bytes are less than the guest, whose memory is fixed since its create, ` +
        `and the monitor take up: ${needed}`,
      remedy: "create a container with the smaller limit",
    });
  }
}
