import type { MountedDisk } from "../block/types.ts";
import type { Step } from "./types.ts";

/** What `exec` calls the descriptor by which the kernel keeps the disk from being mounted. */
export const ROOT_DISK_CLAIM = "rootDisk";

/**
 * Steps by which the container's root, which is mounted, becomes the guest's disk, and nobody's but
 * the guest's. They come when everything that is needed of the image has been taken out of it, and
 * before the pivot and the device rules, which would keep the device from being opened.
 * launch/steps/root_disk.ts says why in this order.
 *
 * @param disk undefined: the guest does not get it
 */
export function planRootDisk(disk: MountedDisk | undefined): Step[] {
  if (disk === undefined) return [];
  const { mountPoint, major, minor } = disk;
  return [
    { step: "openRootDisk", major, minor },
    { step: "unmountRootfs", mountPoint, major, minor },
    { step: "releaseRootfs" },
    // For reading: it is a claim, and the monitor opens the disk by a node of its own.
    { step: "claimRootDisk", readOnly: true },
  ];
}
