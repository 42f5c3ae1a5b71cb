import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_RECURSIVE,
  close,
  MNT_DETACH,
  MOUNT_ATTR_IDMAP,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_RDONLY,
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
import { asFileOwner } from "../../os/file_owner.ts";
import { isThere } from "../../os/files.ts";
import { isCode } from "../../os/os_error.ts";
import { baseName, parentPath } from "../../os/path.ts";
import { rootOnHost } from "../../oci/id_mappings.ts";
import type { IdMaps } from "../../oci/types.ts";

/** Of an overlay's options. */
const LOWER = "lowerdir=";
const UPPER = "upperdir=";
const WORK = "workdir=";

/** Of a layer: an overlay reads it only, and by a mount of its own. */
const NODES = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
const LAYER = MOUNT_ATTR_RDONLY | NODES;

/**
 * Mounts a directory where another one is, with its owners mapped.
 *
 * @param recursive with what is mounted below it
 * @throws LinuxError EINVAL: its file system cannot be mapped
 * @see mount_setattr(2), "ID-mapped mounts"
 */
export function bindMapped(source: string, target: string, maps: IdMaps, recursive: boolean): void {
  const below = recursive ? AT_RECURSIVE : 0;
  withUserNamespace(maps, (userNamespace) => attach(source, target, { userNamespace, below }));
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

interface Attached {
  userNamespace: number;
  /** AT_RECURSIVE, or 0. */
  below?: number;
  /** Attributes besides, as mount_setattr(2) has them. */
  more?: number;
}

function attach(source: string, target: string, attached: Attached): void {
  const { userNamespace, below = 0, more = 0 } = attached;
  const tree = openTree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | below);
  try {
    mountSetattr(tree, "", AT_EMPTY_PATH | below, { set: MOUNT_ATTR_IDMAP | more, userNamespace });
    moveMount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);
  } finally {
    close(tree);
  }
}

/** How an overlay's layers are mapped. */
export interface LayerMapping {
  maps: IdMaps;
  /** Also the one that is written to: what is made in the overlay is on the disk as in the lower ones. */
  upper?: boolean;
}

/**
 * Calls `use` with an overlay's options in which the directories are mapped ones. They are there for so long:
 * an overlay has mounts of its own of its layers (ovl_get_layers() in fs/overlayfs/super.c).
 *
 * Where the upper one is mapped, `use` is called as root of the mapping, which an overlay's own changes are then
 * made as: as uid 0 of the host it could not write there, and comes up read-only (ovl_make_workdir()).
 *
 * @param directory where they are meanwhile, which is made, and which only root can write to
 */
export function withMappedLayers(
  options: readonly string[],
  { maps, upper = false }: LayerMapping,
  directory: string,
  use: (options: string[]) => void,
): void {
  const lower = valueOf(options, LOWER)!.split(":");
  const mapped = lower.map((_, index) => `${directory}/${index}`);
  const written = upper ? upperOf(options) : undefined;
  Deno.mkdirSync(directory, { mode: 0o700 });
  try {
    withUserNamespace(maps, (userNamespace) => {
      for (const [index, layer] of lower.entries()) {
        Deno.mkdirSync(mapped[index]!);
        attach(layer, mapped[index]!, { userNamespace, more: LAYER });
      }
      if (written === undefined) return;
      Deno.mkdirSync(`${directory}/upper`);
      attach(written.parent, `${directory}/upper`, { userNamespace, more: NODES });
    });
    const names = [LOWER, ...written === undefined ? [] : [UPPER, WORK]];
    const all = [
      LOWER + mapped.join(":"),
      ...options.filter((option) => !names.some((name) => option.startsWith(name))),
      ...written === undefined ? [] : [
        `${UPPER}${directory}/upper/${written.upper}`,
        `${WORK}${directory}/upper/${written.work}`,
      ],
    ];
    if (upper) asFileOwner(rootOnHost(maps)!, () => use(all));
    else use(all);
  } finally {
    removeMappedLayers(directory);
  }
}

function valueOf(options: readonly string[], name: string): string | undefined {
  return options.find((option) => option.startsWith(name))?.slice(name.length);
}

/**
 * The two directories that an overlay writes to, in the one that both are in: the kernel wants them in one
 * mount. Undefined: it is only read.
 */
function upperOf(
  options: readonly string[],
): { parent: string; upper: string; work: string } | undefined {
  const [upper, work] = [valueOf(options, UPPER), valueOf(options, WORK)];
  if (upper === undefined || work === undefined) return undefined;
  const parent = parentPath(upper);
  if (parent !== parentPath(work)) {
    throw new Error(`${upper} and ${work} are not in one directory, and cannot be mapped together`);
  }
  return { parent, upper: baseName(upper), work: baseName(work) };
}

/**
 * Removes what `withMappedLayers` has made, also when it was killed. What cannot be unmounted is not removed:
 * it is the image.
 *
 * @param directory of the layers; when it is not there, nothing happens
 */
export function removeMappedLayers(directory: string): void {
  if (!isThere(directory)) return;
  for (const { name } of Deno.readDirSync(directory)) detach(`${directory}/${name}`);
  Deno.removeSync(directory);
}

function detach(layer: string): void {
  try {
    umount2(layer, MNT_DETACH);
  } catch (error) {
    // It was not mounted yet.
    if (!isCode(error, "EINVAL")) throw error;
  }
  Deno.removeSync(layer);
}
