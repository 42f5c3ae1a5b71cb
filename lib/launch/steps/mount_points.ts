import {
  close,
  mkdirat,
  mknodat,
  O_PATH,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFREG,
} from "../../../ffi/linux.ts";
import { openNamed } from "../../host/named.ts";
import { isCode } from "../../os/os_error.ts";
import { baseName, parentPath } from "../../os/path.ts";
import type { MountPoint } from "../../plan/types.ts";
import type { StepHandlers } from "../context.ts";

/**
 * Directories and empty files for a guest's mounts, in a tree that is shared with it. Its file server may
 * not make them there: it is the container's user. Every OCI runtime makes them as root.
 *
 * A path is resolved by the kernel with the tree as `/`, so that no link of an image, or of a container
 * that writes to the tree meanwhile, leads out of it (CVE-2021-30465).
 */
export const MOUNT_POINT_STEPS: StepHandlers<"makeMountPoints"> = {
  makeMountPoints({ tree, targets }) {
    const root = openNamed(tree);
    try {
      for (const target of targets) close(openOrMake(root, target));
    } finally {
      close(root);
    }
  },
};

/** @returns an O_PATH descriptor */
function openOrMake(root: number, target: MountPoint): number {
  try {
    return openIn(root, target.path);
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error;
  }
  const directory = openOrMake(root, { path: parentPath(target.path), isFile: false });
  try {
    make(directory, baseName(target.path), target.isFile);
  } finally {
    close(directory);
  }
  // A link that leads nowhere is an error here.
  return openIn(root, target.path);
}

/** Another one may have been quicker. */
function make(directory: number, name: string, isFile: boolean): void {
  try {
    if (isFile) mknodat(directory, name, S_IFREG | 0o644, { major: 0, minor: 0 });
    else mkdirat(directory, name, 0o755);
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  }
}

function openIn(root: number, path: string): number {
  return openat2(root, path, { flags: O_PATH, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
}
