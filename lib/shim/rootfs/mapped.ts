import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  close,
  MNT_DETACH,
  MOUNT_ATTR_IDMAP,
  mountSetattr,
  MOVE_MOUNT_F_EMPTY_PATH,
  moveMount,
  OPEN_TREE_CLOEXEC,
  OPEN_TREE_CLONE,
  openTree,
  umount2,
} from "../../../ffi/linux.ts";
import { makePrograms } from "../../launch/programs.ts";
import { makeUserNamespace } from "../../launch/user_namespace.ts";
import { isCode } from "../../os/os_error.ts";
import type { IdMaps } from "../../oci/types.ts";

/** Of an overlay's options. */
const LOWER = "lowerdir=";

/**
 * Mounts a directory where another one is, with its owners mapped.
 *
 * @param recursive with what is mounted below it
 * @throws LinuxError EINVAL: its file system cannot be mapped
 * @see mount_setattr(2), "ID-mapped mounts"
 */
export function bindMapped(source: string, target: string, maps: IdMaps, recursive: boolean): void {
  withUserNamespace(maps, (userNamespace) => attach(source, target, userNamespace, recursive));
}

/** The kernel takes mappings as those of a user namespace. */
function withUserNamespace(maps: IdMaps, use: (fd: number) => void): void {
  const programs = makePrograms();
  try {
    const fd = makeUserNamespace(programs, maps);
    try {
      use(fd);
    } finally {
      close(fd);
    }
  } finally {
    close(programs);
  }
}

function attach(source: string, target: string, userNamespace: number, recursive: boolean): void {
  const below = recursive ? AT_RECURSIVE : 0;
  const tree = openTree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | below);
  try {
    mountSetattr(tree, "", AT_EMPTY_PATH | below, { set: MOUNT_ATTR_IDMAP, userNamespace });
    moveMount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
  } finally {
    close(tree);
  }
}

/**
 * Calls `use` with an overlay's options in which the lower directories are mapped ones. They are there for
 * so long: an overlay has mounts of its own of its layers (ovl_get_layers() in fs/overlayfs/super.c).
 */
export function withMappedLayers(
  options: readonly string[],
  maps: IdMaps,
  use: (options: string[]) => void,
): void {
  const lower = options.find((option) => option.startsWith(LOWER))!.slice(LOWER.length).split(":");
  const directory = Deno.makeTempDirSync({ prefix: "urunc-layers-" });
  const mapped = lower.map((_, index) => `${directory}/${index}`);
  try {
    withUserNamespace(maps, (userNamespace) => {
      for (const [index, layer] of lower.entries()) {
        Deno.mkdirSync(mapped[index]!);
        attach(layer, mapped[index]!, userNamespace, false);
      }
    });
    const others = options.filter((option) => !option.startsWith(LOWER));
    use([LOWER + mapped.join(":"), ...others]);
  } finally {
    for (const layer of mapped) detach(layer);
    Deno.removeSync(directory);
  }
}

/** One that was not made is not an error. What cannot be unmounted is not removed: it is the image. */
function detach(layer: string): void {
  try {
    umount2(layer, MNT_DETACH);
    Deno.removeSync(layer);
  } catch (error) {
    // EINVAL: it is an empty directory.
    if (isCode(error, "EINVAL")) Deno.removeSync(layer);
    else if (!isCode(error, "ENOENT")) throw error;
  }
}
