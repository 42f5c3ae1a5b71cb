import {
  close,
  fstat,
  mkdirat,
  mknodat,
  O_NOFOLLOW,
  O_PATH,
  openat2,
  readLink,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  umask,
} from "../../../ffi/linux.ts";
import { openNamed } from "../../host/named.ts";
import { asFileOwner } from "../../os/file_owner.ts";
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
  makeMountPoints({ tree, targets, owner }) {
    const root = openNamed(tree);
    const make = () => {
      for (const target of targets) close(openOrMake(root, target, MAXIMUM_LINKS));
    };
    try {
      if (owner === undefined) make();
      else asFileOwner(owner, make);
    } finally {
      close(root);
    }
  },
};

/** As many links as the kernel follows, MAXSYMLINKS in include/linux/namei.h. */
const MAXIMUM_LINKS = 40;

/**
 * What a link leads to is made, too: images have `/etc/resolv.conf` as one to what only a running system has.
 *
 * @param links that may lead nowhere, on the way
 * @returns an O_PATH descriptor
 */
function openOrMake(root: number, target: MountPoint, links: number): number {
  const { path, isFile } = target;
  try {
    return openIn(root, path);
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error;
  }
  const directory = openOrMake(root, { path: parentPath(path), isFile: false }, links);
  try {
    make(directory, baseName(path), target);
  } finally {
    close(directory);
  }
  const link = linkAt(root, path);
  if (link === undefined) return openIn(root, path);
  if (links === 0) throw new Error(`${path} leads through too many symbolic links`);
  const next = link.startsWith("/") ? link : `${parentPath(path)}/${link}`;
  return openOrMake(root, { path: next, isFile }, links - 1);
}

/** Where a symbolic link leads; undefined: there is something else. */
function linkAt(root: number, path: string): string | undefined {
  const fd = openIn(root, path, O_NOFOLLOW);
  try {
    return (fstat(fd).mode & S_IFMT) === S_IFLNK ? readLink(fd) : undefined;
  } finally {
    close(fd);
  }
}

/** Another one may have been quicker. */
function make(directory: number, name: string, { isFile, mode = 0o755 }: MountPoint): void {
  const mask = umask(0);
  try {
    if (isFile) mknodat(directory, name, S_IFREG | 0o644, { major: 0, minor: 0 });
    else mkdirat(directory, name, mode);
  } catch (error) {
    if (!isCode(error, "EEXIST")) throw error;
  } finally {
    umask(mask);
  }
}

function openIn(root: number, path: string, more = 0): number {
  const flags = O_PATH | more;
  return openat2(root, path, { flags, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS });
}
