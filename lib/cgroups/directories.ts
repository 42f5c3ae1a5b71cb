import { errorMessage, HostError } from "../errors.ts";
import { isThere } from "../os/files.ts";
import { delay } from "../os/timer.ts";
import { type CgroupPlan, DEFAULT_PARENT, type HierarchyPlan } from "./plan.ts";
import { leavesOf } from "./common.ts";
import { cgroupProcesses } from "./processes.ts";
import type { CgroupWrite } from "./writes.ts";
import { isCode } from "../os/os_error.ts";

/** Attempts to make a directory whose parent another container removes at the same time. */
const MAKE_ATTEMPTS = 50;

/** How long the kernel may take to let go of a cgroup whose last process just ended. */
const REMOVE_MILLISECONDS = 2000;

/**
 * Looks at what making a plan's cgroups will add, without making it: so that it can be written to
 * the container's state first and a creator that is killed midway leaves nothing unknown.
 *
 * @returns the container's own directories, and after them the parents that are not there yet,
 *   deepest first in each hierarchy
 * @throws HostError when the container's own directory is in use: what is in it would be limited
 *   and killed with the container
 */
export function surveyDirectories(plan: CgroupPlan): string[] {
  const hierarchies = hierarchiesOf(plan);
  const leaves = hierarchies.map(({ directory }) => directory);
  leaves.forEach(requireUnused);
  const parents = hierarchies.flatMap((hierarchy) =>
    // The default parent is shared: the last container removes it.
    ancestors(hierarchy).filter((path) =>
      path === `${hierarchy.mountPoint}${DEFAULT_PARENT}` || !isThere(path)
    ).reverse()
  );
  return [...leaves, ...parents];
}

/** @throws HostError when a container's own directory is in use; one that is not there is not */
export function requireUnused(leaf: string): void {
  const use = usedBy(leaf);
  if (use === undefined) return;
  throw new HostError({
    operation: "use cgroup",
    subject: leaf,
    reason: `it is in use by ${use}`,
    remedy: "give the container a cgroupsPath of its own",
  });
}

/**
 * Which controllers of the cgroup2 tree are delegated: all; in hybrid mode, where most limits are
 * set in v1, those that a limit needs.
 */
export function delegatedControllers(plan: CgroupPlan, limits: CgroupWrite[]): string[] {
  const { v1, v2 } = plan;
  if (v2 === undefined || v1.length === 0) return v2?.controllers ?? [];
  return v2.controllers.filter((name) =>
    limits.some(({ file }) => file.startsWith(`${v2.directory}/${name}.`))
  );
}

/**
 * Makes a plan's directories and the parents they need. Idempotent.
 *
 * v1: a new cpuset holds no processor and no memory node and no process could join it, so it gets its
 * parent's. v2: controllers are delegated from the root, parent by parent.
 *
 * @param delegated controllers to delegate; all of the plan's v2 by default
 * @throws HostError naming the directory and the reason
 */
export function makeDirectories(plan: CgroupPlan, delegated = plan.v2?.controllers ?? []): void {
  for (const hierarchy of plan.v1) {
    make(hierarchy, (path) => {
      if (hierarchy.controllers.includes("cpuset")) inheritCpuset(path);
    });
  }
  if (plan.v2 === undefined) return;
  const { mountPoint, directory } = plan.v2;
  delegate(mountPoint, delegated);
  make(plan.v2, (path) => {
    if (path !== directory) delegate(path, delegated);
  });
}

/**
 * Removes a container's cgroups, which no process is in any more, and the parents made for it when
 * no other process uses them. What is gone already is not an error.
 *
 * @param directories from `surveyDirectories`
 * @throws HostError when one of the container's own cannot be removed
 */
export async function removeCgroup(directories: string[]): Promise<void> {
  const deadline = performance.now() + REMOVE_MILLISECONDS;
  const leaves = leavesOf(directories);
  for (const leaf of leaves) await removeLeaf(leaf, deadline);
  for (const parent of directories.filter((path) => !leaves.includes(path))) {
    try {
      Deno.removeSync(parent);
    } catch {
      // In use by another container, or gone: both are as it should be.
    }
  }
}

async function removeLeaf(path: string, deadline: number): Promise<void> {
  for (let wait = 1;; wait = Math.min(wait * 2, 100)) {
    try {
      for (const child of childrenOf(path)) await removeLeaf(child, deadline);
      Deno.removeSync(path);
      return;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      // EBUSY: processes that were just killed are still on their way out.
      if (isCode(error, "EBUSY") && performance.now() < deadline) {
        await delay(wait);
        continue;
      }
      throw failure("remove cgroup", path, error);
    }
  }
}

function usedBy(leaf: string): string | undefined {
  if (!isThere(leaf)) return undefined;
  const [pid] = cgroupProcesses([leaf]);
  if (pid !== undefined) return `process ${pid}`;
  const [child] = childrenOf(leaf);
  return child === undefined ? undefined : `cgroup ${child}`;
}

function childrenOf(path: string): string[] {
  return [...Deno.readDirSync(path)].filter((entry) => entry.isDirectory).map((entry) =>
    `${path}/${entry.name}`
  );
}

function hierarchiesOf(plan: CgroupPlan): HierarchyPlan[] {
  return plan.v2 === undefined ? plan.v1 : [...plan.v1, plan.v2];
}

/** Directories between the mount point and the container's, outermost first. */
function ancestors({ mountPoint, directory }: HierarchyPlan): string[] {
  const components = directory.slice(mountPoint.length).split("/").slice(1, -1);
  return components.map((_, index) => `${mountPoint}/${components.slice(0, index + 1).join("/")}`);
}

/** Makes the directory and its ancestors; `afterEach` is called for each, outermost first. */
function make(hierarchy: HierarchyPlan, afterEach: (path: string) => void): void {
  for (let attempt = 1;; attempt++) {
    try {
      for (const path of [...ancestors(hierarchy), hierarchy.directory]) {
        makeDirectory(path);
        afterEach(path);
      }
      return;
    } catch (error) {
      // Another container's end removed the parent they shared, just before we were in it. ENODEV: a file of it
      // was open already, or a directory being made in it (kernfs_fop_read_iter(), cgroup_mkdir()).
      if (isCode(error, "ENOENT", "ENODEV") && attempt < MAKE_ATTEMPTS) continue;
      throw failure("make cgroup", hierarchy.directory, error);
    }
  }
}

function makeDirectory(path: string): void {
  try {
    Deno.mkdirSync(path, { mode: 0o755 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** @see cpuset(7), "Creating cpusets": both files must have been filled before a process may join */
function inheritCpuset(path: string): void {
  const parent = path.slice(0, path.lastIndexOf("/"));
  for (const name of ["cpuset.cpus", "cpuset.mems"]) {
    if (Deno.readTextFileSync(`${path}/${name}`).trim() !== "") continue;
    Deno.writeTextFileSync(`${path}/${name}`, Deno.readTextFileSync(`${parent}/${name}`).trim());
  }
}

/**
 * Lets the children of a cgroup2 directory use controllers. One that cannot be enabled (a process in
 * the directory, a real-time task under cpu) is not an error yet: it is when a limit needs it.
 */
function delegate(path: string, controllers: string[]): void {
  for (const controller of controllers) {
    try {
      Deno.writeTextFileSync(`${path}/cgroup.subtree_control`, `+${controller}`);
    } catch {
      // See above.
    }
  }
}

function failure(operation: string, path: string, error: unknown): HostError {
  return new HostError({
    operation,
    subject: path,
    reason: errorMessage(error),
    cause: error,
  });
}
