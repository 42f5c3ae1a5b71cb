import type { CgroupLayout } from "../host/types.ts";
import { type MountInfo, readMounts } from "../host/mounts.ts";
import { readIfThere } from "../os/files.ts";

/** What the layout is computed from. */
export interface CgroupSources {
  mounts: MountInfo[];
  /** Text of /proc/cgroups: which of a v1 mount's options are controllers. */
  procCgroups: string;
  /** Reads `cgroup.controllers` of a cgroup2 mount point. */
  readControllers: (mountPoint: string) => string;
}

/**
 * Works out which cgroup hierarchies there are and where.
 *
 * `hybrid` means that v1 hierarchies and a cgroup2 tree are both mounted; a controller is only ever
 * in one of them.
 *
 * @see cgroups(7), kernel Documentation/admin-guide/cgroup-v2.rst
 */
export function parseCgroupLayout(sources: CgroupSources): CgroupLayout {
  const known = parseControllerNames(sources.procCgroups);
  const v1: Record<string, string> = {};
  // A hierarchy may be mounted again elsewhere, often as a subtree (docker in docker): the mount
  // that shows the most of it wins, the first one among equals.
  const byReach = (type: string) => {
    const mounts = sources.mounts.filter((mount) => mount.type === type);
    return [
      ...mounts.filter((mount) => mount.root === "/"),
      ...mounts.filter((mount) => mount.root !== "/"),
    ];
  };
  for (const mount of byReach("cgroup")) {
    for (const option of mount.superOptions) {
      if (known.has(option) || option.startsWith("name=")) v1[option] ??= mount.mountPoint;
    }
  }
  const unified = byReach("cgroup2")[0];
  const v2 = unified === undefined ? undefined : {
    mountPoint: unified.mountPoint,
    controllers: sources.readControllers(unified.mountPoint).split(/\s+/).filter((name) =>
      name !== ""
    ),
  };
  const hasV1 = Object.keys(v1).length > 0;
  const mode = v2 === undefined ? (hasV1 ? "v1" : "none") : (hasV1 ? "hybrid" : "v2");
  return { mode, v1, ...(v2 === undefined ? {} : { v2 }) };
}

function parseControllerNames(procCgroups: string): Set<string> {
  return new Set(
    procCgroups.split("\n").filter((line) => line !== "" && !line.startsWith("#")).map((line) =>
      line.split("\t")[0] ?? ""
    ),
  );
}

/** The cgroup hierarchies of this host, as this process sees them. */
export function readCgroupLayout(): CgroupLayout {
  return parseCgroupLayout({
    mounts: readMounts(),
    // A kernel without version 1 does not have it.
    procCgroups: readIfThere("/proc/cgroups") ?? "",
    // The root of version 2 always has it, unless it is hidden.
    readControllers: (mountPoint) => readIfThere(`${mountPoint}/cgroup.controllers`) ?? "",
  });
}
