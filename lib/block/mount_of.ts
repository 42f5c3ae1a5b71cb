import type { MountInfo } from "../host/mounts.ts";
import type { DeviceNumber } from "./types.ts";

/**
 * The mount that is seen at a path: of several that are stacked there, the uppermost, the one that
 * none of the others is mounted on.
 *
 * @param path of the mount point itself, without symlinks
 * @returns undefined when nothing is mounted at exactly that path
 */
export function mountAt(mounts: readonly MountInfo[], path: string): MountInfo | undefined {
  const stack = mounts.filter(({ mountPoint }) => mountPoint === path);
  const covered = new Set(stack.map(({ parentId }) => parentId));
  return stack.findLast(({ id }) => !covered.has(id));
}

/** Mounts on directories of this one. */
export function mountsBelow(mounts: readonly MountInfo[], upper: MountInfo): MountInfo[] {
  return mounts.filter(({ parentId }) => parentId === upper.id);
}

export function isSameDevice(one: DeviceNumber, other: DeviceNumber): boolean {
  return one.major === other.major && one.minor === other.minor;
}
