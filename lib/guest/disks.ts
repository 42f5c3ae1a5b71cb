import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import type { Guest } from "./families/types.ts";
import { type Key, keyPrefix } from "./keys.ts";
import type { UnikernelConfig } from "./types.ts";

const operation = "give the guest a disk";

/** The part of a description that says where a disk is mounted. */
export type DiskDescription = Pick<
  UnikernelConfig,
  "block" | "blockMountPoint" | "rootDisk" | "initrd"
>;

/**
 * Where the guest mounts the disk that its image asks for by `block`, or by `mountRootfs` and
 * `useDMBlock`.
 *
 * @returns undefined when mounting it is left to the guest
 * @throws UnsupportedError when guests of this family get no disks
 * @throws InvalidConfigurationError when they cannot mount a disk there
 */
export function mountPointOf(description: DiskDescription, guest: Guest): string | undefined {
  const { blockMountPoint: asked, initrd } = description;
  const key: Key = description.rootDisk ? "mountRootfs" : "block";
  const { type, disks } = guest;
  if (disks === undefined) {
    throw new UnsupportedError({
      operation,
      subject: keyPrefix + key,
      reason: `${type} guests get no disks: they could not mount any`,
      remedy: "leave the key out, or give it no value",
    });
  }
  if (asked !== undefined) return checkMountPoint(asked, disks.mount, type);
  // An initial RAM disk is already a root.
  const hasRoot = disks.mount === "root" && !description.rootDisk && initrd !== undefined;
  return hasRoot ? undefined : disks.mountPoint;
}

function checkMountPoint(asked: string, mount: "root" | "below" | "raw", type: string): string {
  if (mount !== "raw" && (mount === "root") === (asked === "/")) return asked;
  throw new InvalidConfigurationError({
    operation,
    subject: `${keyPrefix}blkMntPoint`,
    reason: mount === "raw"
      ? `${type} guests mount no file system`
      : mount === "root"
      ? `${type} guests mount only "/"; other disks are /dev/vda and following`
      : `${type} guests have a root already, and mount a disk below it`,
    remedy: mount === "root" ? '"/", or leave the key out' : "leave the key out",
  });
}
