import { HostError, InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import type { CgroupLayout } from "../host/types.ts";
import { leavesOf } from "./common.ts";

/** Parent of cgroups whose path is not given, or relative. */
export const DEFAULT_PARENT = "/urunc";

/** A container's directory in one hierarchy. */
export interface HierarchyPlan {
  mountPoint: string;
  /** Absolute, below the mount point. */
  directory: string;
  /** v1: what is co-mounted here, `name=systemd` included. v2: the controllers there are. */
  controllers: string[];
}

/** Where a container's cgroups are to be. */
export interface CgroupPlan {
  /** The same in every hierarchy, absolute. */
  path: string;
  v1: HierarchyPlan[];
  v2?: HierarchyPlan;
}

/**
 * Decides a container's cgroup directories: one in each hierarchy there is. In hybrid mode the
 * cgroup2 tree gets one too: it has no controllers there, but ends all processes at once.
 *
 * @param cgroupsPath `linux.cgroupsPath`: absolute paths are below the mount points, relative ones
 *   and none below `/urunc`
 * @throws InvalidConfigurationError for a path that leaves its place, is the root of the hierarchy
 *   or cannot be a path; UnsupportedError for systemd's form, which is `placeScope`'s; HostError when the host has no cgroups
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config-linux.md#cgroups-path
 */
export function placeCgroup(
  layout: CgroupLayout,
  cgroupsPath: string | undefined,
  id: string,
): CgroupPlan {
  if (layout.mode === "none") {
    throw new HostError({
      operation: "plan cgroup",
      reason: "no cgroup file system is mounted",
      remedy: "mount cgroup2 at /sys/fs/cgroup",
    });
  }
  const path = pathBelowMount(cgroupsPath, id);
  const mountPoints = [...new Set(Object.values(layout.v1))];
  const v1 = mountPoints.map((mountPoint) => ({
    mountPoint,
    directory: below(mountPoint, path),
    controllers: Object.keys(layout.v1).filter((name) => layout.v1[name] === mountPoint),
  }));
  if (layout.v2 === undefined) return { path, v1 };
  const { mountPoint, controllers } = layout.v2;
  return { path, v1, v2: { mountPoint, directory: below(mountPoint, path), controllers } };
}

/** Whether this host has a controller where a container's limits are set: in v1, if it has that at all. */
export function offersController({ v1, v2 }: CgroupLayout, controller: string): boolean {
  if (Object.keys(v1).length > 0) return v1[controller] !== undefined;
  return v2?.controllers.includes(controller) ?? false;
}

/**
 * Finds the hierarchies of cgroups that were made earlier.
 *
 * @param directories of a container, as its state has them
 */
export function locateCgroup(layout: CgroupLayout, directories: string[]): CgroupPlan {
  const leaves = leavesOf(directories);
  const leafBelow = (mountPoint: string) =>
    leaves.find((leaf) => leaf.startsWith(mountPoint === "/" ? "/" : `${mountPoint}/`));
  const mountPoints = [...new Set(Object.values(layout.v1))];
  const v1 = mountPoints.flatMap((mountPoint): HierarchyPlan[] => {
    const directory = leafBelow(mountPoint);
    const controllers = Object.keys(layout.v1).filter((name) => layout.v1[name] === mountPoint);
    return directory === undefined ? [] : [{ mountPoint, directory, controllers }];
  });
  // On a hybrid host the cgroup2 tree is mounted beside or above the others; its leaf is what is
  // left.
  const rest = leaves.filter((leaf) => !v1.some(({ directory }) => directory === leaf));
  const directory = layout.v2 === undefined
    ? undefined
    : rest.find((leaf) => leaf.startsWith(layout.v2!.mountPoint));
  const [first] = directory === undefined ? v1 : [{ ...layout.v2!, directory }];
  if (first === undefined) {
    throw new HostError({
      operation: "find cgroup",
      subject: leaves[0],
      reason: "it is in no cgroup file system that is mounted",
    });
  }
  const path = first.directory.slice(first.mountPoint.length);
  return directory === undefined ? { path, v1 } : { path, v1, v2: { ...layout.v2!, directory } };
}

/** The container's directory in the hierarchy of a v1 controller; undefined when it is not mounted. */
export function v1Directory(plan: CgroupPlan, controller: string): string | undefined {
  return plan.v1.find(({ controllers }) => controllers.includes(controller))?.directory;
}

/**
 * Which of the container's directories decides about devices: a v1 hierarchy that has the
 * controller, else the cgroup2 tree, whose device programs need no controller.
 */
export function deviceCgroup(plan: CgroupPlan): DeviceCgroup | undefined {
  const directory = v1Directory(plan, "devices");
  if (directory !== undefined) return { version: 1, directory };
  return plan.v2 === undefined ? undefined : { version: 2, directory: plan.v2.directory };
}

function pathBelowMount(cgroupsPath: string | undefined, id: string): string {
  if (cgroupsPath === undefined || cgroupsPath === "") return `${DEFAULT_PARENT}/${id}`;
  const refuse = (reason: string) =>
    new InvalidConfigurationError({
      operation: "plan cgroup",
      subject: `linux.cgroupsPath ${JSON.stringify(cgroupsPath)}`,
      reason,
    });
  if (/^[^/:]*:[^/:]*:[^/:]+$/.test(cgroupsPath)) {
    throw new UnsupportedError({
      operation: "plan cgroup",
      subject: `linux.cgroupsPath ${JSON.stringify(cgroupsPath)}`,
      reason: "it has the form of systemd's cgroup driver (slice:prefix:name)",
      remedy: "use --systemd-cgroup, or configure the caller to use the cgroupfs driver",
    });
  }
  // deno-lint-ignore no-control-regex -- NUL ends a path, a newline forges lines of /proc files
  if (/[\x00-\x1f\x7f]/.test(cgroupsPath)) throw refuse("it holds a control character");
  const components = cgroupsPath.split("/").filter((part) => part !== "" && part !== ".");
  if (components.includes("..")) throw refuse('".." is not allowed');
  // All processes of the container's cgroup are killed with it: it must not be everybody's.
  if (components.length === 0) throw refuse("it is the root of the hierarchy");
  const path = `/${components.join("/")}`;
  return cgroupsPath.startsWith("/") ? path : `${DEFAULT_PARENT}${path}`;
}

function below(mountPoint: string, path: string): string {
  return mountPoint === "/" ? path : `${mountPoint}${path}`;
}

/** The cgroup that decides which devices the container may open. */
export interface DeviceCgroup {
  /** 1: a list in files. 2: a program attached to the directory. */
  version: 1 | 2;
  directory: string;
}
