import type { GuestDisk, GuestInput } from "../types.ts";

/** A disk that is the guest's root. */
export interface RootDisk extends GuestDisk {
  /** Below /dev. */
  name: string;
}

/**
 * The disk that is the guest's root. Disks are /dev/vda, /dev/vdb and on, in the order of the bus:
 * drivers/block/virtio_blk.c.
 *
 * @returns undefined when the guest's root is its RAM disk
 */
export function rootOf({ disks = [] }: Pick<GuestInput, "disks">): RootDisk | undefined {
  const index = disks.findIndex(({ mountPoint }) => mountPoint === "/");
  if (index < 0) return undefined;
  return { ...disks[index]!, name: `vd${String.fromCharCode("a".charCodeAt(0) + index)}` };
}
