import { parseIdMap } from "../../host/id_maps.ts";
import type { IdMaps } from "../../oci/types.ts";
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
    else if (isMapping(option)) continue;
    else if (option !== "defaults" && option !== "") result.data.push(option);
  }
  return result;
}

function isMapping(option: string): boolean {
  return option.startsWith("uidmap=") || option.startsWith("gidmap=");
}

/**
 * How ids on the disk are mapped, for a container with a user namespace: options of containerd's own,
 * `uidmap=ON_DISK:ON_HOST:SIZE,…` and `gidmap=`.
 *
 * @returns undefined when they are not
 */
export function mapsOf(options: readonly string[]): IdMaps | undefined {
  const [uids, gids] = ["uidmap=", "gidmap="].map((key) => {
    const text = options.find((option) => option.startsWith(key))?.slice(key.length);
    return text === undefined
      ? undefined
      : parseIdMap(text.replaceAll(":", " ").replaceAll(",", "\n"));
  });
  return uids === undefined || gids === undefined ? undefined : { uids, gids };
}
