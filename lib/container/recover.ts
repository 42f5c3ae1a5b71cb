import { readCgroupLayout } from "../cgroups/layout.ts";
import { DEFAULT_PARENT, placeCgroup } from "../cgroups/plan.ts";
import { isUnitName } from "../cgroups/systemd/scope.ts";
import { absolutePath, boolean, type Decoder, Place, rawObject, text } from "../decode/decode.ts";
import { UruncError } from "../errors.ts";
import { type ContainerState, processId, STATE_VERSION } from "./state.ts";

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
export function recoverState(id: string, json: string): ContainerState {
  const fields = record(parse(json));
  const network = record(fields.network);
  const namespacePath = believed(network.namespacePath, absolutePath);
  const tap = believed(network.tap, text);
  const link = believed(network.interface, text);
  const forwarding = believed(record(network.routed).forwarding, boolean);
  const routed = forwarding === undefined ? undefined : { forwarding };
  return {
    version: STATE_VERSION,
    ociVersion: believed(fields.ociVersion, text) ?? "",
    id,
    bundle: believed(fields.bundle, absolutePath) ?? "/",
    annotations: {},
    monitor: believed(fields.monitor, text) ?? "",
    pid: believed(fields.pid, processId),
    pidStartTime: believed(fields.pidStartTime, text),
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

const NOWHERE = new Place({
  error: (_, reason) => new UruncError({ operation: "recover container state", reason }),
});

/** What `decode` takes; undefined for anything else. */
function believed<T>(value: unknown, decode: Decoder<T>): T | undefined {
  try {
    return decode(value, NOWHERE);
  } catch {
    return undefined;
  }
}

function record(value: unknown): Record<string, unknown> {
  return believed(value, rawObject) ?? {};
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
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
  const paths = Array.isArray(value) ? value.flatMap((it) => believed(it, absolutePath) ?? []) : [];
  const own = paths.filter(isBelow);
  if (own.length > 0) return own;

  const { v1, v2 } = placeCgroup(layout, undefined, id);
  return [...v1, ...(v2 ? [v2] : [])].flatMap(({ directory, mountPoint }) => [
    directory,
    `${mountPoint}${DEFAULT_PARENT}`,
  ]);
}

/** What is in it is killed, so a slice is not believed. */
function scopeName(value: unknown): string | undefined {
  const name = believed(value, text);
  return name !== undefined && isUnitName(name) && name.endsWith(".scope") ? name : undefined;
}
