import { HostError, InvalidConfigurationError, UnsupportedError } from "../../errors.ts";
import type { CgroupLayout } from "../../host/types.ts";
import type { CgroupPlan } from "../plan.ts";

/** Where containers go whose path names no slice. */
const DEFAULT_SLICE = "system.slice";
/** First part of the unit's name by default. */
const DEFAULT_PREFIX = "urunc";
/** UNIT_NAME_MAX, less the NUL: systemd's src/basic/unit-name.h. */
const MAXIMUM_UNIT_BYTES = 255;

/** The unit that systemd is to make for a container. */
export interface Scope {
  /** Such as `docker-0123abcd.scope`. */
  unit: string;
  slice: string;
}

/**
 * Decides a container's scope and where systemd will make its cgroup.
 *
 * @param cgroupsPath `linux.cgroupsPath`: `slice:prefix:name`, or nothing: then
 *   `system.slice:urunc:ID`. An empty slice is `system.slice`, `-` the root slice
 * @throws InvalidConfigurationError for a path of another form or a name that systemd does not
 *   allow; UnsupportedError on cgroup v1
 * @see systemd.unit(5), systemd.slice(5), systemd.scope(5)
 */
export function placeScope(
  layout: CgroupLayout,
  cgroupsPath: string | undefined,
  id: string,
): { scope: Scope; plan: CgroupPlan } {
  const { slice, unit, path } = parseScopePath(cgroupsPath, id);
  if (layout.mode === "none") {
    throw new HostError({
      operation: "plan cgroup",
      reason: "no cgroup file system is mounted",
      remedy: "mount cgroup2 at /sys/fs/cgroup",
    });
  }
  if (layout.mode !== "v2" || layout.v2 === undefined) {
    throw new UnsupportedError({
      operation: "plan cgroup",
      subject: unit,
      reason: "systemd's cgroup driver needs cgroup v2 alone, and this host has v1 as well",
      remedy: "boot with systemd.unified_cgroup_hierarchy=1, or use the cgroupfs driver",
    });
  }
  const { mountPoint, controllers } = layout.v2;
  const plan = { path, v1: [], v2: { mountPoint, directory: `${mountPoint}${path}`, controllers } };
  return { scope: { unit, slice }, plan };
}

/**
 * @returns the scope, and its cgroup below the mount point
 * @throws InvalidConfigurationError
 */
export function parseScopePath(
  cgroupsPath: string | undefined,
  id: string,
): Scope & { path: string } {
  const given = cgroupsPath === undefined || cgroupsPath === ""
    ? `:${DEFAULT_PREFIX}:${id}`
    : cgroupsPath;
  const refuse = (reason: string, remedy?: string) =>
    new InvalidConfigurationError({
      operation: "plan cgroup",
      subject: `linux.cgroupsPath ${JSON.stringify(given)}`,
      reason,
      remedy,
    });
  const parts = given.split(":");
  const [sliceName, prefix, name] = parts;
  if (parts.length !== 3 || !name) {
    throw refuse(
      "with --systemd-cgroup it has the form slice:prefix:name",
      "such as system.slice:docker:0123abcd; a path is for the cgroupfs driver",
    );
  }
  // runc makes a slice of it then; but systemd puts no process into one.
  if (name.endsWith(".slice")) throw refuse("a container cannot be a slice");
  const slice = sliceName === "" ? DEFAULT_SLICE : sliceName === "-" ? "-.slice" : sliceName!;
  const slicePath = expandSlice(slice);
  if (slicePath === undefined) {
    throw refuse(`${JSON.stringify(slice)} is not a slice name`, "such as machine.slice");
  }
  const unit = `${prefix}-${name}.scope`;
  if (!isUnitName(unit)) throw refuse(`${JSON.stringify(unit)} is not a systemd unit name`);
  return { unit, slice, path: `${slicePath}/${unit}` };
}

/**
 * Where a slice's cgroup is: `a-b.slice` is within `a.slice`.
 *
 * @returns a path without a slash at its end; undefined for what is not a slice name
 * @see systemd.slice(5)
 */
function expandSlice(slice: string): string | undefined {
  if (slice === "-.slice") return "";
  if (!slice.endsWith(".slice") || !isUnitName(slice)) return undefined;
  const components = slice.slice(0, -".slice".length).split("-");
  if (components.includes("")) return undefined;
  return components.map((_, index) => `/${components.slice(0, index + 1).join("-")}.slice`).join(
    "",
  );
}

/** Can this be a unit's name? It then needs no quoting anywhere. */
export function isUnitName(name: string): boolean {
  return name.length <= MAXIMUM_UNIT_BYTES && /^[A-Za-z0-9:_.\\@-]+\.(scope|slice)$/.test(name);
}
