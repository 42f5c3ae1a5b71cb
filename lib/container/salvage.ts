import { readCgroupLayout } from "../cgroups/layout.ts";
import { DEFAULT_PARENT, placeCgroup } from "../cgroups/plan.ts";
import { isUnitName } from "../cgroups/systemd/scope.ts";
import { type ContainerState, STATE_VERSION } from "./state.ts";

/**
 * What can still be known of a container whose state.json this urunc cannot read: another version's,
 * or a damaged one. It is for `delete --force` alone, which must get rid of the container.
 *
 * Fields that look like ours are believed one by one: only the runtime's user can write the file.
 * Without a cgroup among them the container is looked for where its id alone would have put it.
 * Hooks are not believed: half a command line is another command.
 *
 * @param json the text of state.json
 */
export function salvageState(id: string, json: string): ContainerState {
  const fields = looseFields(json);
  const network = record(fields.network);
  const namespacePath = absolutePath(network.namespacePath);
  const tap = text(network.tap);
  const link = text(network.interface);
  const { forwarding } = record(network.routed);
  const routed = typeof forwarding === "boolean" ? { forwarding } : undefined;
  return {
    version: STATE_VERSION,
    ociVersion: text(fields.ociVersion) ?? "",
    id,
    bundle: absolutePath(fields.bundle) ?? "/",
    annotations: {},
    monitor: text(fields.monitor) ?? "",
    pid: processId(fields.pid),
    pidStartTime: text(fields.pidStartTime),
    phase: "started",
    created: "",
    cgroupPaths: cgroupPaths(fields.cgroupPaths, id),
    systemdUnit: scopeName(fields.systemdUnit),
    network: namespacePath !== undefined && tap !== undefined && link !== undefined
      ? { namespacePath, tap, interface: link, routed }
      : undefined,
    hooks: { poststart: [], poststop: [] },
    owner: 0,
  };
}

function looseFields(json: string): Record<string, unknown> {
  try {
    return record(JSON.parse(json));
  } catch {
    return {};
  }
}

/** Only directories below a cgroup mount point: what is in them is killed. */
function cgroupPaths(value: unknown, id: string): string[] {
  const layout = readCgroupLayout();
  if (layout.mode === "none") return [];
  const mountPoints = [...Object.values(layout.v1), ...(layout.v2 ? [layout.v2.mountPoint] : [])];
  const isBelow = (path: string) =>
    !path.split("/").includes("..") &&
    mountPoints.some((it) => path.startsWith(`${it}/`)) && !mountPoints.includes(path);
  const told = Array.isArray(value) ? value.flatMap((it) => absolutePath(it) ?? []) : [];
  const believed = told.filter(isBelow);
  if (believed.length > 0) return believed;

  const { v1, v2 } = placeCgroup(layout, undefined, id);
  return [...v1, ...(v2 ? [v2] : [])].flatMap(({ directory, mountPoint }) => [
    directory,
    `${mountPoint}${DEFAULT_PARENT}`,
  ]);
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? value as Record<string, unknown> : {};
}

function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** What is in it is killed, so a slice is not believed. */
function scopeName(value: unknown): string | undefined {
  const name = text(value);
  return name !== undefined && isUnitName(name) && name.endsWith(".scope") ? name : undefined;
}

function absolutePath(value: unknown): string | undefined {
  return typeof value === "string" && value.startsWith("/") ? value : undefined;
}

function processId(value: unknown): number | undefined {
  return typeof value === "number" && Number.isInteger(value) && value > 0 ? value : undefined;
}
