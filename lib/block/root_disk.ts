import { UnsupportedError } from "../errors.ts";
import { readDevice } from "../host/devices.ts";
import { type MountInfo, readMounts } from "../host/mounts.ts";
import type { DeviceFacts } from "../host/types.ts";
import { type BlockDevice, readBlockDevice } from "./device.ts";
import { mountAt, mountsBelow } from "./mount_of.ts";
import type { DeviceNumber } from "./types.ts";

/** The block device behind a container's root file system. */
export interface RootDisk {
  device: BlockDevice;
  /** Where it is mounted, without symlinks: what has to be unmounted before a guest may have it. */
  mountPoint: string;
  /** Name of its file system's driver: `ext4`. */
  fileSystem: string;
  /** The mount (or what it is meant to be), the file system or the device refuses writes. */
  readOnly: boolean;
}

/** Who the disk is for. */
export interface RootDiskInput {
  /** The container's root on the host. */
  rootfs: string;
  /** What asks for it, for errors. */
  subject: string;
  /** What to do where it cannot be, besides using another snapshotter. */
  otherwise: string;
  /** The guest's family. */
  guest: string;
  /**
   * File systems that guests of this family can have as such a disk; undefined: they take any, or
   * read sectors themselves.
   */
  fileSystems?: readonly string[];
  /** Whether it is not to be written to, in place of what its mount says. */
  readOnly?: boolean;
}

/** What is read of the host; replaced in tests. */
export interface BlockFacts {
  mounts(): MountInfo[];
  realPath(path: string): string;
  device(number: DeviceNumber): BlockDevice | undefined;
}

const LINUX: BlockFacts = {
  mounts: readMounts,
  realPath: (path) => Deno.realPathSync(path),
  device: (number) => readBlockDevice(number),
};

/**
 * Finds the block device that a container's root file system is on, and decides whether the guest
 * can have it: the file system must be mounted whole, at the root itself, with nothing below.
 *
 * What devmapper and blockfile snapshotters mount passes, and so does any partition; overlay and
 * btrfs have no device of their own. Nothing is changed.
 *
 * @throws UnsupportedError naming what asks for it, and why the root cannot be the guest's disk
 */
export function findRootDisk(input: RootDiskInput, facts: BlockFacts = LINUX): RootDisk {
  const refuse = (reason: string, remedy: string) =>
    new UnsupportedError({
      operation: "find the root disk",
      subject: input.subject,
      reason,
      remedy,
    });
  const snapshotters = `use containerd's devmapper or blockfile snapshotter, or ${input.otherwise}`;
  const path = facts.realPath(input.rootfs);
  const mounts = facts.mounts();
  const mount = mountAt(mounts, path);
  if (mount === undefined) {
    throw refuse(`${path} is a directory of another file system, no mount`, snapshotters);
  }
  // umount("/") would turn the host read-only: do_umount() in fs/namespace.c.
  if (path === "/") throw refuse("the root is the host's own", "name another root in config.json");
  const device = facts.device(mount.device);
  if (device === undefined) {
    throw refuse(`${path} is ${mount.type}, which has no block device of its own`, snapshotters);
  }
  if (mount.root !== "/") {
    const reason = `${path} is the directory ${mount.root} of ${device.name}`;
    throw refuse(`${reason}: the guest would see all of that file system`, snapshotters);
  }
  const below = mountsBelow(mounts, mount);
  if (below.length > 0) {
    const points = below.map(({ mountPoint }) => mountPoint).join(", ");
    throw refuse(`there are mounts below it that the guest would not see: ${points}`, snapshotters);
  }
  if (input.fileSystems !== undefined && !input.fileSystems.includes(mount.type)) {
    const known = input.fileSystems.join(", ") || "none";
    throw refuse(
      `${input.guest} guests cannot mount ${mount.type}; what they can: ${known}`,
      `have the snapshotter make such a file system, or ${input.otherwise}`,
    );
  }
  const readOnly = input.readOnly ??
    [mount.options, mount.superOptions].some((options) => options.includes("ro"));
  return {
    device,
    mountPoint: path,
    fileSystem: mount.type,
    readOnly: readOnly || device.readOnly,
  };
}

/**
 * The host's node of a block device, whose owner and mode decide when configured so. Where
 * nothing else makes nodes (in a container, without udev), device mapper's tools make one by the
 * mapping's name. There may be none at all.
 *
 * @param read looks at a node; another in tests
 */
export function hostNode(device: BlockDevice, read = readDevice): DeviceFacts {
  const { name, mapperName, major, minor } = device;
  const path = `/dev/${name}`;
  for (const place of [path, ...(mapperName === undefined ? [] : [`/dev/mapper/${mapperName}`])]) {
    const node = read(place);
    if (node?.type === "block" && node.major === major && node.minor === minor) return node;
  }
  return { path, noNode: true, type: "block", major, minor, uid: 0, gid: 0, mode: 0o600 };
}
