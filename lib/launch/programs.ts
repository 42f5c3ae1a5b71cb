import {
  AT_EMPTY_PATH,
  close,
  fchmod,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
  mountDetached,
  mountSetattr,
  O_CREAT,
  O_EXCL,
  O_WRONLY,
  openat,
  writeAll,
} from "../../ffi/linux.ts";
import { WAITER } from "./waiter_bytes.ts";

/** The waiter's name in the directory of `makePrograms`. */
export const PROGRAM = "urunc-waiter";

/** Bytes; twice its size. */
const DIRECTORY_BYTES = 65536;

/**
 * Makes a read-only directory of its own with the program of waiter and monitor (lib/build/waiter): a
 * file system that has no place among the mounts. Not a memfd: posix_spawn(3) takes a path only, and
 * after the pivot there is no /proc to name a descriptor by.
 *
 * @returns a descriptor of the directory
 * @throws LinuxError
 */
export function makePrograms(): number {
  const options = { size: `${DIRECTORY_BYTES}`, nr_inodes: "3", mode: "0755" };
  const directory = mountDetached("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
  const file = openat(directory, PROGRAM, O_WRONLY | O_CREAT | O_EXCL, 0o700);
  try {
    writeAll(file, WAITER);
    // It is not readable: the kernel then keeps its process undumpable, from the exec on (would_dump()
    // in fs/exec.c).
    fchmod(file, 0o111);
  } finally {
    close(file);
  }
  // A process of uid 0 could otherwise write to it by /proc/PID/exe, once nothing executes it.
  mountSetattr(directory, "", AT_EMPTY_PATH, { set: MOUNT_ATTR_RDONLY });
  return directory;
}
