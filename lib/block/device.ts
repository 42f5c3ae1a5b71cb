import { HostError } from "../errors.ts";
import type { DeviceNumber } from "./types.ts";
import { readIfThere } from "../os/files.ts";

/** A block device of the host, as sysfs describes it. */
export interface BlockDevice extends DeviceNumber {
  /** Of its node in /dev, as the kernel calls it: `dm-3`, `loop0`, `vda1`. */
  name: string;
  kind: "device mapper" | "loop" | "partition" | "disk";
  /** Device mapper only: what the table's owner calls it, such as `pool-snap-7`. */
  mapperName?: string;
  /** Device mapper only; empty for devices that were made without. */
  mapperUuid?: string;
  /** Loop devices only: the file behind it. */
  backingFile?: string;
  /** The driver refuses writes. */
  readOnly: boolean;
  /** Bytes. */
  size: number;
}

/** sysfs counts in sectors of that many bytes, whatever the device's own are (linux/types.h). */
const SECTOR = 512;

/**
 * Looks up a block device by its number.
 *
 * @param directory where sysfs has block devices by number; another in tests
 * @returns undefined when no device has that number: file systems without a device, overlay or
 *   btrfs among them, have numbers with major 0
 * @throws HostError when sysfs has something that cannot be parsed
 * @see kernel Documentation/ABI/stable/sysfs-block, Documentation/ABI/testing/sysfs-block-dm
 */
export function readBlockDevice(
  { major, minor }: DeviceNumber,
  directory = "/sys/dev/block",
): BlockDevice | undefined {
  const path = `${directory}/${major}:${minor}`;
  const uevent = readAttribute(`${path}/uevent`);
  if (uevent === undefined) return undefined;
  const name = /^DEVNAME=(.+)$/m.exec(uevent)?.[1];
  const sectors = Number(readAttribute(`${path}/size`) ?? NaN);
  if (name === undefined || !Number.isSafeInteger(sectors)) {
    throw new HostError({
      operation: "look at block device",
      subject: `${major}:${minor}`,
      reason: `${path} has no name or no size`,
    });
  }
  const mapperName = readAttribute(`${path}/dm/name`);
  const backingFile = readAttribute(`${path}/loop/backing_file`);
  return {
    major,
    minor,
    name,
    kind: kindOf(path, mapperName, backingFile),
    ...(mapperName === undefined ? {} : {
      mapperName,
      mapperUuid: readAttribute(`${path}/dm/uuid`) ?? "",
    }),
    ...(backingFile === undefined ? {} : { backingFile }),
    readOnly: readAttribute(`${path}/ro`) === "1",
    size: sectors * SECTOR,
  };
}

/** Other devices that are made of this one, by name: a mapping, a RAID. */
export function readDeviceUsers(
  { major, minor }: DeviceNumber,
  directory = "/sys/dev/block",
): string[] {
  try {
    return [...Deno.readDirSync(`${directory}/${major}:${minor}/holders`)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

function kindOf(path: string, mapperName?: string, backingFile?: string): BlockDevice["kind"] {
  if (mapperName !== undefined) return "device mapper";
  if (backingFile !== undefined) return "loop";
  return readAttribute(`${path}/partition`) === undefined ? "disk" : "partition";
}

/** Without the newline; undefined when the attribute does not exist. */
function readAttribute(path: string): string | undefined {
  return readIfThere(path)?.replace(/\n$/, "");
}
