import type { GuestDisk, GuestInput } from "../types.ts";

/** A disk that is the guest's root. */
export interface RootDisk extends GuestDisk {
  /** Below /dev. */
  name: string;
}

/**
 * The name of a disk below /dev: vda, vdb and on, in the order of the bus (drivers/block/virtio_blk.c).
 *
 * @param index from 0
 */
export function diskName(index: number): string {
  return `vd${String.fromCharCode("a".charCodeAt(0) + index)}`;
}

/**
 * The disk that is the guest's root.
 *
 * @returns undefined when the guest's root is its RAM disk
 */
export function rootOf({ disks = [] }: Pick<GuestInput, "disks">): RootDisk | undefined {
  const index = disks.findIndex(({ mountPoint }) => mountPoint === "/");
  if (index < 0) return undefined;
  return { ...disks[index]!, name: diskName(index) };
}
