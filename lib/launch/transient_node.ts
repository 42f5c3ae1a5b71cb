import {
  close,
  mknodat,
  O_NOFOLLOW,
  O_RDONLY,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  unlinkat,
} from "../../ffi/linux.ts";

/** Of the node for as long as a single open takes. */
const NAME = ".opened";
const DIRECTORY = "./dev";

/** A device by its numbers; `format` is S_IFBLK or S_IFCHR. */
export interface DeviceNumbers {
  format: number;
  major: number;
  minor: number;
}

/**
 * Opens a device by a node of its own in the monitor's private /dev, which is gone again afterwards.
 * Not the host's node: there need not be one, and one of that name could be another device's.
 *
 * @param root the monitor's root, while it is built
 * @param flags O_RDONLY or O_RDWR
 * @returns a descriptor; the caller closes it
 * @throws LinuxError
 */
export function openByNumbers(root: number, device: DeviceNumbers, flags: number): number {
  const { format, major, minor } = device;
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS;
  const directory = openat2(root, DIRECTORY, { flags: O_RDONLY, resolve });
  try {
    // Mode 0, and no other process is in this tree yet.
    mknodat(directory, NAME, format, { major, minor });
    try {
      return openat2(directory, NAME, { flags: flags | O_NOFOLLOW, resolve });
    } finally {
      unlinkat(directory, NAME, 0);
    }
  } finally {
    close(directory);
  }
}
