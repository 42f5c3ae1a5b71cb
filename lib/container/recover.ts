import { readCgroupLayout } from "../cgroups/layout.ts";
import { DEFAULT_PARENT, placeCgroup } from "../cgroups/plan.ts";
import { isUnitName } from "../cgroups/systemd/scope.ts";
import {
  absolutePath,
  boolean,
  type Decoder,
  integer,
  listOf,
  Place,
  rawObject,
  text,
} from "../decode/decode.ts";
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
 * @param previous what it was before it was last written: for the fields that it has not any more
 */
export function recoverState(id: string, json: string, previous = ""): ContainerState {
  const sources = [record(parse(json)), record(parse(previous))];
  const find = <T>(key: keyof ContainerState, read: (value: unknown) => T | undefined) =>
    sources.map((fields) => read(fields[key])).find((value) => value !== undefined);
  const field = <T>(key: keyof ContainerState, decode: Decoder<T>) =>
    find(key, (value) => believed(value, decode));
  return {
    version: STATE_VERSION,
    ociVersion: field("ociVersion", text) ?? "",
    id,
    bundle: field("bundle", absolutePath) ?? "/",
    annotations: {},
    monitor: field("monitor", text) ?? "",
    pid: field("pid", processId),
    pidStartTime: field("pidStartTime", text),
    phase: "started",
    created: "",
    cgroupPaths: find("cgroupPaths", cgroupPaths) ?? usualCgroupPaths(id),
    systemdUnit: find("systemdUnit", scopeName),
    network: find("network", network),
    hostId: field("hostId", integer(1, 2 ** 31 - 1)),
    hooks: { poststart: [], poststop: [] },
    owner: 0,
  };
}

function network(value: unknown): ContainerState["network"] {
  const fields = record(value);
  const namespacePath = believed(fields.namespacePath, absolutePath);
  const tap = believed(fields.tap, text);
  const link = believed(fields.interface, text);
  const forwarding = believed(record(fields.routed).forwarding, boolean);
  const routed = forwarding === undefined ? undefined : { forwarding };
  if (namespacePath === undefined || tap === undefined || link === undefined) return undefined;
  const further = (believed(fields.further, listOf(record)) ?? []).flatMap(furtherTap);
  return {
    namespacePath,
    tap,
    interface: link,
    ...(further.length > 0 && { further }),
    routed,
  };
}

function furtherTap(fields: Record<string, unknown>): { tap: string; interface: string }[] {
  const tap = believed(fields.tap, text);
  const link = believed(fields.interface, text);
  return tap === undefined || link === undefined ? [] : [{ tap, interface: link }];
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

/** Only directories below a cgroup mount point: what is in them is killed. Undefined without any. */
function cgroupPaths(value: unknown): string[] | undefined {
  const layout = readCgroupLayout();
  const mountPoints = [...Object.values(layout.v1), ...(layout.v2 ? [layout.v2.mountPoint] : [])];
  const isBelow = (path: string) =>
    !path.split("/").includes("..") &&
    mountPoints.some((it) => path.startsWith(`${it}/`)) && !mountPoints.includes(path);
  const paths = Array.isArray(value) ? value.flatMap((it) => believed(it, absolutePath) ?? []) : [];
  const own = paths.filter(isBelow);
  return own.length > 0 ? own : undefined;
}

/** Where its id alone would have put it. */
function usualCgroupPaths(id: string): string[] {
  const layout = readCgroupLayout();
  if (layout.mode === "none") return [];
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
