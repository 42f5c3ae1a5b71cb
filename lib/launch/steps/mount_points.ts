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
import { mayAccess, SEARCH, WRITE } from "../../host/access.ts";
import { guardOf, openNamed } from "../../host/named.ts";
import { isMapped, rootOnHost } from "../../oci/id_mappings.ts";
import type { IdMaps } from "../../oci/types.ts";
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
  makeMountPoints({ tree, targets, maps }) {
    const root = openNamed(tree);
    try {
      for (const target of targets) close(openOrMake({ tree, root, maps }, target, MAXIMUM_LINKS));
    } finally {
      close(root);
    }
  },
};

/** As many links as the kernel follows, MAXSYMLINKS in include/linux/namei.h. */
const MAXIMUM_LINKS = 40;

/** A tree, by its path and a descriptor, and the ids that its owners are mapped to, if they are. */
interface SharedTree {
  tree: string;
  root: number;
  maps?: IdMaps;
}

/**
 * What a link leads to is made, too: images have `/etc/resolv.conf` as one to what only a running system has.
 *
 * @param links that may lead nowhere, on the way
 * @returns an O_PATH descriptor
 */
function openOrMake(shared: SharedTree, target: MountPoint, links: number): number {
  const { root } = shared;
  const { path, isFile } = target;
  try {
    return openIn(root, path);
  } catch (error) {
    if (!isCode(error, "ENOENT")) throw error;
  }
  const directory = openOrMake(shared, { path: parentPath(path), isFile: false }, links);
  try {
    makeAs(shared, directory, target);
  } finally {
    close(directory);
  }
  const link = linkAt(root, path);
  if (link === undefined) return openIn(root, path);
  if (links === 0) throw new Error(`${path} leads through too many symbolic links`);
  const next = link.startsWith("/") ? link : `${parentPath(path)}/${link}`;
  return openOrMake(shared, { path: next, isFile }, links - 1);
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

/**
 * As root of a user namespace, if there is one, which is root over what its ids own and nothing else: the path
 * is the image's, and a volume may have directories of the host's root, in which it is to have none of its own.
 *
 * @see privileged_wrt_inode_uidgid() in kernel/capability.c
 */
function makeAs({ tree, maps }: SharedTree, directory: number, target: MountPoint): void {
  if (maps === undefined) return make(directory, target);
  const guard = guardOf(directory);
  const root = rootOnHost(maps)!;
  const overrides = isMapped(guard.uid, maps.uids) && isMapped(guard.gid, maps.gids);
  if (!overrides && !mayAccess(guard, { ...root, groups: [] }, WRITE | SEARCH)) {
    throw new Error(
      `${target.path} is not there in ${tree}, and root of the container's user namespace may not make ` +
        `it: the directory is uid ${guard.uid}'s, gid ${guard.gid}'s`,
    );
  }
  asFileOwner(root, () => make(directory, target));
}

/** Another one may have been quicker. */
function make(directory: number, { path, isFile, mode = 0o755 }: MountPoint): void {
  const name = baseName(path);
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
