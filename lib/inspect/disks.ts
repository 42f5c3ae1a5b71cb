import {
  close,
  fstat,
  LinuxError,
  O_EXCL,
  O_RDONLY,
  S_IFBLK,
  S_IFMT,
  S_IFREG,
} from "../../ffi/linux.ts";
import { readBlockDevice } from "../block/device.ts";
import { hostNode } from "../block/root_disk.ts";
import { errorMessage, HostError, UnsupportedError } from "../errors.ts";
import type { DiskDevice } from "../oci/disk_devices.ts";
import { type DiskMount, unseenVolume } from "../oci/unsupported.ts";
import { isReadOnlyMount } from "../oci/read_only.ts";
import { readDevice } from "../host/devices.ts";
import { guardOf, openNamed, reopen } from "../host/named.ts";
import { statImageFile } from "./image.ts";
import type { DeviceFacts } from "../host/types.ts";
import type { DiskFacts, DiskSource } from "./types.ts";

/** The request for a disk image in the image. */
export interface BlockImageInput {
  /** From `openImageRoot`. */
  imageRoot: number;
  /** As the image names it. */
  path: string;
  /** The container's root file system is read-only. */
  readOnlyRoot: boolean;
  mountPoint?: string;
}

/** Write permission of owner, group and others. */
const WRITE_BITS = 0o222;

/**
 * Looks at a disk image that an image's `block` names. It can only be read when its file system is
 * read-only by config.json, or when its mode lets nobody write to it.
 *
 * @throws InvalidConfigurationError naming the path, when it is missing or not a regular file
 */
export function blockImage(input: BlockImageInput): DiskFacts {
  const { imageRoot, path, readOnlyRoot, mountPoint } = input;
  const file = statImageFile(imageRoot, path);
  return {
    name: "block",
    source: { kind: "imageFile", file },
    readOnly: readOnlyRoot || (file.mode & WRITE_BITS) === 0,
    mountPoint,
  };
}

/** Of a regular file that is a disk: a rest would be cut off, or make a monitor refuse it. */
const SECTOR_BYTES = 512;

/** Throws when the operator does not allow block devices of the host; the subject names one. */
type RequireAllowedDevice = (subject: string) => void;

/** What a guest reads of a serial number: VIRTIO_BLK_ID_BYTES, linux/virtio_blk.h. */
const SERIAL = /^[A-Za-z0-9._-]{1,20}$/;

/**
 * Looks at volumes that may be disks of the guest. Their names are their places in the container,
 * `/var/db` is `var-db`, so that the guest knows them by their serial numbers; `volumeN` where that is
 * no name or taken. The guest mounts them itself, if at all.
 *
 * A disk can only be read when the mount says so, the device is read-only, or no user may write to the
 * file.
 *
 * @param taken names of disks that the guest has already
 * @param allowDevice is called for a volume that is a block device, before that is opened
 * @throws UnsupportedError naming the volume that is neither
 * @throws HostError naming the volume whose source cannot be read
 */
export function volumeDisks(
  mounts: DiskMount[],
  taken: string[],
  allowDevice: RequireAllowedDevice,
): DiskFacts[] {
  const names = new Set(taken);
  return mounts.map((volume, number) => {
    const { source, readOnly } = lookAt(volume, allowDevice);
    const name = nameOf(volume.mount.destination, names, `volume${number}`);
    return { name, source, readOnly };
  });
}

/**
 * Looks at block devices that the caller gives the container. Their names are their places in its
 * /dev: `/dev/xvda` is `xvda`. Whether the host uses one is seen when it is claimed.
 *
 * @param taken names of disks that the guest has already
 * @param allowDevice is called for each
 * @throws UnsupportedError naming the device that is not there, or may not even be read
 */
export function deviceDisks(
  devices: DiskDevice[],
  taken: string[],
  allowDevice: RequireAllowedDevice,
): DiskFacts[] {
  const names = new Set(taken);
  return devices.map(({ device: { path, major, minor }, access }, number) => {
    allowDevice(`linux.devices ${path}`);
    const refuse = (reason: string, remedy: string) =>
      new UnsupportedError({
        operation: "give the guest a disk",
        subject: `linux.devices ${path}`,
        reason,
        remedy,
      });
    if (access === "none") {
      throw refuse("linux.resources.devices does not let it be read", "allow it there: r, or rw");
    }
    const device = readBlockDevice({ major, minor });
    if (device === undefined) {
      const reason = `this machine has no block device ${major}:${minor}`;
      throw refuse(reason, "see /proc/partitions");
    }
    return {
      name: nameOf(path.replace(/^\/dev\//, ""), names, `device${number}`),
      source: { kind: "device", device: hostNode(device) },
      readOnly: access === "r" || device.readOnly,
    };
  });
}

/** @param names that are taken; this one is added */
function nameOf(path: string, names: Set<string>, otherwise: string): string {
  const place = path.replace(/^\/+|\/+$/g, "").replaceAll("/", "-");
  const name = SERIAL.test(place) && !names.has(place) ? place : otherwise;
  names.add(name);
  return name;
}

/** What a volume is; its path is looked up once. */
function lookAt(
  volume: DiskMount,
  allowDevice: RequireAllowedDevice,
): Pick<DiskFacts, "source" | "readOnly"> {
  const found = openVolume(volume);
  try {
    const { source, mayWrite } = sourceOf(volume, found);
    if (source.kind === "device") allowDevice(subjectOf(volume));
    const readOnly = !mayWrite || isReadOnlyMount(volume.mount.options);
    if (!readOnly && source.kind === "device") requireUnused(volume, found);
    return { source, readOnly };
  } finally {
    close(found);
  }
}

function sourceOf(
  volume: DiskMount,
  found: number,
): { source: DiskSource; mayWrite: boolean } {
  const { source: path } = volume.mount;
  const { mode, size } = fstat(found);
  if ((mode & S_IFMT) === S_IFBLK) {
    const device = { ...readDevice(`/proc/self/fd/${found}`)!, path };
    return { source: { kind: "device", device }, mayWrite: !isReadOnly(device) };
  }
  const isDisk = (mode & S_IFMT) === S_IFREG && size > 0 && size % SECTOR_BYTES === 0;
  if (!isDisk) {
    const { property, reason, remedy } = unseenVolume(volume.mount, volume.index);
    throw new UnsupportedError({
      operation: "give the guest a disk",
      subject: property,
      reason,
      remedy,
    });
  }
  const maps = volume.maps === undefined ? {} : { maps: volume.maps };
  const file = { path, size, ...guardOf(found), ...maps };
  return { source: { kind: "hostFile", file }, mayWrite: (mode & WRITE_BITS) !== 0 };
}

function openVolume(volume: DiskMount): number {
  try {
    return openNamed(volume.mount.source);
  } catch (cause) {
    throw new HostError({
      operation: "give the guest a disk",
      subject: subjectOf(volume),
      reason: errorMessage(cause),
      cause,
    });
  }
}

function subjectOf({ mount, index }: DiskMount): string {
  return `mounts[${index}] ${mount.source}`;
}

/**
 * Two that write to one file system without knowing of each other destroy it. The kernel claims a
 * device for what is mounted of it, or made of it (block/bdev.c, bd_prepare_to_claim).
 */
function requireUnused(volume: DiskMount, found: number): void {
  try {
    close(reopen(found, O_RDONLY | O_EXCL));
  } catch (error) {
    const isUsed = error instanceof LinuxError && error.code === "EBUSY";
    throw new HostError({
      operation: "give the guest a disk",
      subject: subjectOf(volume),
      reason: isUsed
        ? "the host uses it: it is mounted, a part of another device, or another guest's disk"
        : errorMessage(error),
      remedy: isUsed ? "unmount it, stop that guest, or give it to be read only" : undefined,
      cause: error,
    });
  }
}

/** As `blockdev --getro`, block/genhd.c. */
function isReadOnly({ major, minor }: DeviceFacts): boolean {
  return Deno.readTextFileSync(`/sys/dev/block/${major}:${minor}/ro`).trim() === "1";
}
