import type { MountedDisk } from "../block/types.ts";
import type { Step } from "./types.ts";

/** Name in `exec` of the descriptor that keeps the disk from being mounted. */
export const ROOT_DISK_CLAIM = "rootDisk";

/**
 * Steps that turn the container's mounted root into a disk that only the guest uses. They come after
 * the last step that reads from the image, and before the pivot and the device rules, which would keep
 * the device from being opened. launch/steps/root_disk.ts explains their order.
 *
 * @param disk undefined: the root is not the guest's disk
 */
export function planRootDisk(disk: MountedDisk | undefined): Step[] {
  if (disk === undefined) return [];
  const { mountPoint, major, minor } = disk;
  return [
    { step: "openRootDisk", major, minor },
    { step: "unmountRootfs", mountPoint, major, minor },
    { step: "releaseRootfs" },
    // For reading: it only claims the disk, which the monitor opens by its own node.
    { step: "claimRootDisk", readOnly: true },
  ];
}
