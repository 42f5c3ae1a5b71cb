import { LinuxError, umount2, UMOUNT_NOFOLLOW } from "../../ffi/linux.ts";
import { HostError } from "../errors.ts";
import { readMounts } from "../host/mounts.ts";
import { delay } from "../os/timer.ts";
import { findHolders } from "./holders.ts";
import { isSameDevice, mountAt } from "./mount_of.ts";
import type { MountedDisk } from "./types.ts";

/** How long another process may still read the root: a backup, an `ls`. Milliseconds. */
const PATIENCE = 3000;
const PAUSE = 20;

/**
 * Unmounts a container's root in this mount namespace, and, where mounts propagate, in all that
 * follow it. Already unmounted is not an error. It is never detached only: a file system that is
 * out of sight and in use writes as before.
 *
 * @param patience milliseconds to wait for processes that use it
 * @throws HostError naming who uses it
 */
export async function releaseRootDisk(disk: MountedDisk, patience = PATIENCE): Promise<void> {
  const deadline = Date.now() + patience;
  while (unmountRootDisk(disk) === "busy") {
    if (Date.now() >= deadline) throw rootDiskInUse(disk);
    await delay(PAUSE);
  }
}

/**
 * Unmounts whatever of the disk is mounted at its mount point in the calling thread's mount
 * namespace, a mount on top of another included. Does not wait.
 *
 * @returns `busy` when a process uses it
 * @throws LinuxError
 */
export function unmountRootDisk(disk: MountedDisk): "unmounted" | "busy" {
  let tried: number | undefined;
  for (;;) {
    // Another file system at that path is not ours to touch.
    const mount = mountAt(readMounts(), disk.mountPoint);
    if (mount === undefined || !isSameDevice(mount.device, disk)) return "unmounted";
    // It is there and cannot be named: something is mounted over a directory on the way to it.
    if (mount.id === tried) return "busy";
    tried = mount.id;
    try {
      umount2(disk.mountPoint, UMOUNT_NOFOLLOW);
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      if (error.code === "EBUSY") return "busy";
      // EINVAL, ENOENT: most likely another process unmounted it in between.
      if (error.code !== "EINVAL" && error.code !== "ENOENT") throw error;
    }
  }
}

/** The error of a disk that the host still uses. */
export function rootDiskInUse(disk: MountedDisk): HostError {
  const holders = findHolders(disk);
  return new HostError({
    operation: "hand over the root disk",
    subject: disk.mountPoint,
    reason: `the host still uses it, and both would write to it: ${
      holders.join("; ") ||
      `no process was found that has block device ${disk.major}:${disk.minor} open`
    }`,
    remedy: "the guest was not started: end or unmount what is named, then try again",
  });
}
