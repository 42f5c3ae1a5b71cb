import {
  MS_BIND,
  MS_DIRSYNC,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_RDONLY,
  MS_REC,
  MS_RELATIME,
  MS_REMOUNT,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
} from "../../../ffi/linux.ts";

/** Converts options of mount(8) to arguments of mount(2). */
export interface MountOptions {
  /** MS_*. */
  flags: number;
  /** The file system's own. */
  data: string[];
  /** The source is a file that has to become a block device first. */
  loop: boolean;
}

const SET: Record<string, number> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  sync: MS_SYNCHRONOUS,
  dirsync: MS_DIRSYNC,
  mand: MS_MANDLOCK,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
  lazytime: MS_LAZYTIME,
  remount: MS_REMOUNT,
  bind: MS_BIND,
  rbind: MS_BIND | MS_REC,
};

const CLEAR: Record<string, number> = {
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  async: MS_SYNCHRONOUS,
  nomand: MS_MANDLOCK,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  norelatime: MS_RELATIME,
  nostrictatime: MS_STRICTATIME,
  nolazytime: MS_LAZYTIME,
};

/**
 * Sorts mount options into flags and the rest.
 *
 * @param options such as `["rw", "lowerdir=/a:/b"]`
 * @see mount(8), "FILESYSTEM-INDEPENDENT MOUNT OPTIONS"
 */
export function parseMountOptions(options: readonly string[]): MountOptions {
  const result: MountOptions = { flags: 0, data: [], loop: false };
  for (const option of options) {
    if (Object.hasOwn(SET, option)) result.flags |= SET[option]!;
    else if (Object.hasOwn(CLEAR, option)) result.flags &= ~CLEAR[option]!;
    else if (option === "loop") result.loop = true;
    else if (option !== "defaults" && option !== "") result.data.push(option);
  }
  return result;
}
