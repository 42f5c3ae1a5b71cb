import type { DiskFacts } from "./types.ts";
import { statImageFile } from "./image.ts";

/** What is asked of a disk image in the image. */
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
 * read-only by config.json, or when nobody may write to it by its mode.
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
