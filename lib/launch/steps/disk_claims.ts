import { LinuxError, lockByte } from "../../../ffi/linux.ts";

/**
 * The bytes that QEMU locks while it writes to a file, so that no other process does: of
 * RAW_LOCK_PERM_BASE and RAW_LOCK_SHARED_BASE (block/file-posix.c) those of BLK_PERM_WRITE
 * (include/block/block-common.h). So a virtual machine of the host's keeps us out, and we keep out it.
 */
const QEMU_WRITES = 100 + 1;
const QEMU_SHARES_NO_WRITES = 200 + 1;

/**
 * Makes a disk image this guest's alone, for as long as the descriptor is open anywhere.
 *
 * @param fd open for writing
 * @throws Error when another process writes to it; LinuxError
 */
export function claimFile(fd: number): void {
  explained("EAGAIN", "another guest, or another QEMU, uses it as a disk", () => {
    lockByte(fd, QEMU_WRITES);
    lockByte(fd, QEMU_SHARES_NO_WRITES);
  });
}

/**
 * @param open opens a block device with O_EXCL
 * @returns what it returned: while it is open, no one else opens the device so, or mounts it
 * @throws Error saying that the device is in use; LinuxError
 */
export function openClaimed(open: () => number): number {
  return explained(
    "EBUSY",
    "it is mounted, a part of another device, or another guest's disk",
    open,
  );
}

function explained<T>(code: string, reason: string, claim: () => T): T {
  try {
    return claim();
  } catch (cause) {
    if (!(cause instanceof LinuxError) || cause.code !== code) throw cause;
    throw new Error(`${reason}, and both would write to it`, { cause });
  }
}
