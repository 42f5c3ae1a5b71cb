import {
  close,
  LinuxError,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  open,
  poll,
  S_IFBLK,
} from "../../../ffi/linux.ts";
import { unmountRootDisk } from "../../block/release.ts";
import { openByNumbers } from "../transient_node.ts";
import { ROOT_DISK_CLAIM } from "../../plan/root_disk.ts";
import type { StepHandlers } from "../context.ts";

/** How long a mount namespace that is on its way out may still hold the file system. Milliseconds. */
const PATIENCE = 3000;
const PAUSE = 20;

/**
 * The container's root file system becomes the guest's disk. Two kernels that write to one file
 * system destroy it, so the order is:
 *
 * 1. The boot files were copied before: the image cannot be reached any more after this.
 * 2. `openRootDisk`: a loop device would go together with its last mount, and its number be another's.
 * 3. `unmountRootfs`: this mount namespace lets go, so that the creator's unmount can be the last.
 * 4. `releaseRootfs`: the creator unmounts it where the caller, or the shim, has mounted it.
 * 5. `claimRootDisk`: an exclusive open, which the kernel refuses while a file system of the device
 *    is mounted anywhere, seen or detached: the proof of steps 3 and 4. And as long as that
 *    descriptor is open, mount(2) on the host fails with EBUSY: the monitor inherits it.
 *
 * @see open(2), O_EXCL on block devices; bd_prepare_to_claim() in the kernel's block/bdev.c
 */
export const ROOT_DISK_STEPS: StepHandlers<
  "openRootDisk" | "unmountRootfs" | "releaseRootfs" | "claimRootDisk"
> = {
  openRootDisk({ major, minor }, context) {
    const device = { format: S_IFBLK, major, minor };
    context.opened.set(ROOT_DISK_CLAIM, openByNumbers(context.root!, device, O_RDONLY));
  },

  unmountRootfs({ mountPoint, major, minor }, context) {
    // It refers to the mount, and would keep it busy.
    close(context.imageRoot!);
    context.imageRoot = undefined;
    if (unmountRootDisk({ mountPoint, major, minor }) === "unmounted") return;
    throw new Error(`${mountPoint} is busy in the container's own mount namespace`);
  },

  releaseRootfs(_step, context) {
    context.releaseRootfs();
  },

  claimRootDisk({ readOnly }, context) {
    const opened = context.opened.get(ROOT_DISK_CLAIM)!;
    const claimed = claim(`/proc/self/fd/${opened}`, (readOnly ? O_RDONLY : O_RDWR) | O_EXCL);
    context.opened.set(ROOT_DISK_CLAIM, claimed);
    close(opened);
  },
};

/** The first thing that fails for good, EBUSY, is what the creator looks for. */
function claim(path: string, flags: number): number {
  for (let waited = 0;; waited += PAUSE) {
    try {
      return open(path, flags);
    } catch (error) {
      const busy = error instanceof LinuxError && error.code === "EBUSY";
      if (!busy || waited >= PATIENCE) throw error;
      poll([], PAUSE);
    }
  }
}
