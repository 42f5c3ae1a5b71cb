import { HostError } from "../../errors.ts";
import { DBusError } from "../../protocol/dbus/connection.ts";
import {
  type Property,
  setUnitProperties,
  startTransientUnit,
  stopUnit,
  systemdEndpoint,
  UNIT_EXISTS,
} from "./manager.ts";
import { makeDirectories } from "../directories.ts";
import type { CgroupPlan } from "../plan.ts";
import { cgroupProcesses } from "../processes.ts";
import { limitProperties, property } from "./properties.ts";
import type { CgroupWrite } from "../writes.ts";

/**
 * Has systemd make a container's scope, with a process in it.
 *
 * An empty unit of that name, left by a container that ended a moment ago or failed, is
 * replaced.
 *
 * @param properties from systemd_properties.ts
 * @param pid is in the scope from its start on
 * @throws HostError when systemd does not do it, when the unit is another's, and when the process
 *   is not where it was planned to be
 */
export function startScope(
  unit: string,
  plan: CgroupPlan,
  properties: Property[],
  pid: number,
  endpoint = systemdEndpoint(),
): void {
  const withProcess = [...properties, property("PIDs", "au", [pid])];
  const start = () => startTransientUnit(unit, withProcess, endpoint);
  try {
    start();
  } catch (error) {
    if (!(error instanceof DBusError && error.errorName === UNIT_EXISTS)) throw error;
    const inside = cgroupProcesses([plan.v2!.directory]);
    // With the process in it the answer to our own first attempt was lost on the way.
    if (!inside.includes(pid)) {
      if (inside.length > 0) {
        throw new HostError({
          operation: "start scope",
          subject: unit,
          reason: `it exists, and process ${inside[0]} is in it`,
          remedy: "give the container a cgroupsPath of its own",
          cause: error,
        });
      }
      stopUnit(unit, endpoint);
      start();
    }
  }
  requireInside(unit, plan, pid);
}

/** Limits are set in, and processes killed by, the planned directory: it must be the right one. */
function requireInside(unit: string, plan: CgroupPlan, pid: number): void {
  if (cgroupProcesses([plan.v2!.directory]).includes(pid)) return;
  throw new HostError({
    operation: "start scope",
    subject: unit,
    reason: `process ${pid} is not in ${plan.v2!.directory}, where systemd was to put it`,
    remedy: `systemctl show --property=ControlGroup ${unit} shows where the unit's cgroup is`,
  });
}

/**
 * Hands controllers down to the scope that a limit needs and systemd does not manage (hugetlb).
 *
 * @throws HostError naming the directory
 */
export function delegateMissing(plan: CgroupPlan, limits: CgroupWrite[]): void {
  const { v2 } = plan;
  if (v2 === undefined || limits.length === 0) return;
  const present = Deno.readTextFileSync(`${v2.directory}/cgroup.controllers`).trim().split(" ");
  const needed = new Set(limits.map(({ file }) => controllerOf(file)));
  const controllers = v2.controllers.filter((name) => needed.has(name) && !present.includes(name));
  if (controllers.length > 0) makeDirectories({ ...plan, v2: { ...v2, controllers } });
}

function controllerOf(file: string): string {
  const name = file.slice(file.lastIndexOf("/") + 1);
  return name.slice(0, name.indexOf("."));
}

/**
 * Passes to systemd the limits that are about to be changed in a running container's cgroup files: it
 * would bring back the old ones otherwise, when it is reloaded.
 *
 * @throws HostError when systemd does not take them
 */
export function updateScope(
  unit: string,
  writes: CgroupWrite[],
  endpoint = systemdEndpoint(),
): void {
  const properties = limitProperties(writes);
  if (properties.length > 0) setUnitProperties(unit, properties, endpoint);
}

/**
 * Has systemd forget a container's scope, whose processes are gone.
 *
 * @returns a warning when systemd cannot be asked: it forgets an empty scope on its own, and the
 *   container must be removable all the same
 */
export function stopScope(unit: string, endpoint = systemdEndpoint()): string[] {
  try {
    stopUnit(unit, endpoint);
    return [];
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    return [error.message];
  }
}
