import {
  close,
  LinuxError,
  MNT_DETACH,
  mount,
  MS_BIND,
  MS_RDONLY,
  MS_REC,
  MS_REMOUNT,
  O_DIRECTORY,
  O_PATH,
  open,
  openat2,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  umount2,
  UMOUNT_NOFOLLOW,
} from "../../../ffi/linux.ts";
import { errorMessage, HostError } from "../../errors.ts";
import type { IdMaps } from "../../oci/types.ts";
import { bindMapped, removeMappedLayers, withMappedLayers } from "./mapped.ts";
import { mapsOf, parseMountOptions } from "./mount_options.ts";

/** A mount as containerd's snapshotters describe it. */
export interface RootfsMount {
  type: string;
  source: string;
  /** A directory that a mount before this one has; empty: the root itself. */
  target: string;
  options: string[];
}

/** How long the data of mount(2) may be: a page, with its NUL. */
const MAXIMUM_DATA = 4095;

/**
 * What a root file system is needed for:
 *
 * - `reading`: what a guest boots from, and what says whether it is one;
 * - `hooks`: the caller's programs, besides;
 * - `writing`: a disk image in it that a guest writes to, or all of it when it is shared with a guest;
 * - `ordinary`: a container on the host's kernel, for which everything is as the snapshotter says.
 */
export type RootfsPurpose = "reading" | "hooks" | "writing" | "ordinary";

/**
 * Nothing of a guest's image runs on the host, and none of its nodes is opened there: a guest that shares its
 * root may make any file executable and set its set-user-ID bit.
 */
const RESTRICTED = ["nosuid", "nodev", "noexec"];

/**
 * A guest may have written to a file system of its own whatever it liked, its journal and what the host's
 * kernel is to do about errors included: so it is not mounted in a way that could write, and an error is
 * never the panic that its superblock may ask for.
 *
 * @see ext4(5); xfs(5), norecovery; btrfs(5), rescue
 */
const UNTRUSTED: Readonly<Record<string, { always: string[]; readOnly: string[] }>> = {
  ext2: { always: ["errors=remount-ro"], readOnly: [] },
  ext3: { always: ["errors=remount-ro"], readOnly: ["noload"] },
  ext4: { always: ["errors=remount-ro"], readOnly: ["noload"] },
  xfs: { always: [], readOnly: ["norecovery"] },
  btrfs: { always: [], readOnly: ["rescue=nologreplay"] },
};

/** Mounts of directories of the host, to whose file system a guest cannot write past its kernel. */
const OF_DIRECTORIES = ["bind", "overlay", "tmpfs"];

/**
 * Mounts a container's root file system for `reading`. When one fails, those mounted before are unmounted.
 *
 * A snapshot that could be written to is mounted read-only: of a guest's nothing but a disk image is ever
 * written to, and when a writable overlay is unmounted the kernel writes back the whole file system that
 * holds its upper directory (ovl_sync_fs, fs/overlayfs/super.c), whichever process wrote to that.
 *
 * @param directory of the root; made when it is not there
 * @throws HostError naming the mount
 */
export async function mountRootfs(mounts: RootfsMount[], directory: string): Promise<void> {
  if (mounts.length === 0) return;
  makeDirectory(directory);
  await mountAll(mounts, directory, "reading");
}

/**
 * Makes what `mountRootfs` has mounted fit for another purpose. Nobody may use it meanwhile.
 *
 * @param mounts the same
 * @param before what it was made fit for until now
 * @param owners whom the files of an overlay belong to on the host from now on; they stay the same on the disk
 * @throws HostError naming the mount; LinuxError
 */
export async function remountRootfs(
  mounts: RootfsMount[],
  directory: string,
  purpose: RootfsPurpose,
  before: RootfsPurpose = "reading",
  owners?: IdMaps,
): Promise<void> {
  if (owners === undefined && !mounts.some((one) => differs(one, before, purpose))) return;
  const [first] = mounts;
  const isMapped = owners !== undefined || first && mapsFor(first, purpose) !== undefined;
  if (isOverlay(mounts) && !isMapped) {
    const { flags } = parseMountOptions([...first!.options, ...optionsFor(first!, purpose)]);
    mount(null, directory, null, flags | MS_REMOUNT, null);
    return;
  }
  // Anew: a journal that was left alone has to be read now.
  unmountRootfs(directory);
  await mountAll(mounts, directory, purpose, owners);
}

/** Whether a root is one overlay. */
export function isOverlay(mounts: RootfsMount[]): boolean {
  return mounts.length === 1 && mounts[0]!.type === "overlay";
}

/** Whether a root is not to be written to, whatever `mountRootfs` has made of it; undefined: it mounts none. */
export function isMeantReadOnly(mounts: RootfsMount[]): boolean | undefined {
  const root = mounts.find(({ target }) => target === "");
  return root === undefined ? undefined : isReadOnly(root);
}

async function mountAll(
  mounts: RootfsMount[],
  directory: string,
  purpose: RootfsPurpose,
  owners?: IdMaps,
): Promise<void> {
  const mapping = (one: RootfsMount) => {
    const lower = mapsFor(one, purpose);
    return owners === undefined ? lower && { maps: lower } : { maps: owners, upper: true };
  };
  try {
    for (const one of mounts) {
      await mountOne(one, optionsFor(one, purpose), directory, mapping(one));
    }
  } catch (error) {
    unmountRootfs(directory);
    throw error;
  }
}

function differs(one: RootfsMount, before: RootfsPurpose, purpose: RootfsPurpose): boolean {
  return optionsFor(one, purpose).join() !== optionsFor(one, before).join() ||
    mapsFor(one, purpose) !== undefined && mapsFor(one, before) === undefined;
}

/** What is added to the options that the snapshotter gives a mount. */
function optionsFor(one: RootfsMount, purpose: RootfsPurpose): string[] {
  if (purpose === "ordinary") return [];
  if (isOfDirectories(one)) {
    if (purpose === "hooks") return [];
    return [...RESTRICTED, ...(one.type === "overlay" && purpose === "reading" ? ["ro"] : [])];
  }
  const { always, readOnly } = UNTRUSTED[one.type] ?? { always: [], readOnly: [] };
  const writable = purpose === "writing" && !isReadOnly(one);
  return [...RESTRICTED, ...always, ...(writable ? [] : ["ro", ...readOnly])];
}

/** As which the container writes to it; what is only read of a guest's root is read as root of the host. */
function mapsFor({ options }: RootfsMount, purpose: RootfsPurpose): IdMaps | undefined {
  return purpose === "ordinary" || purpose === "writing" ? mapsOf(options) : undefined;
}

function isReadOnly({ options }: RootfsMount): boolean {
  return (parseMountOptions(options).flags & MS_RDONLY) !== 0;
}

function isOfDirectories({ type, options }: RootfsMount): boolean {
  return OF_DIRECTORIES.includes(type) || (parseMountOptions(options).flags & MS_BIND) !== 0;
}

/**
 * Unmounts everything at and below a container's root, and what mounting it may have left when it was
 * killed. Nothing mounted there is not an error.
 *
 * @throws LinuxError
 */
export function unmountRootfs(directory: string): void {
  removeMappedLayers(layersOf(directory));
  for (;;) {
    try {
      umount2(directory, UMOUNT_NOFOLLOW);
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      // EINVAL: no mount point, any more. ENOENT: no directory either.
      if (error.code === "EINVAL" || error.code === "ENOENT") return;
      if (error.code !== "EBUSY") throw error;
      // A process uses it, or has mounted below: it is freed when that is done.
      umount2(directory, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
  }
}

/** Beside the root, in the bundle: where its layers are while they are mapped. */
function layersOf(directory: string): string {
  return `${directory}-layers`;
}

function makeDirectory(directory: string): void {
  try {
    Deno.mkdirSync(directory, { mode: 0o711 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

async function mountOne(
  one: RootfsMount,
  more: string[],
  root: string,
  mapping: { maps: IdMaps; upper?: boolean } | undefined,
): Promise<void> {
  const { flags, data, loop } = parseMountOptions([...one.options, ...more]);
  try {
    if (loop) {
      const { withLoopDevice } = await import("./loop_device.ts");
      withLoopDevice(
        one.source,
        // The device may become the guest's disk.
        isReadOnly(one),
        (device) => atTarget(root, one, (at) => mount(device, at, one.type, flags, data.join(","))),
      );
    } else if ((flags & MS_BIND) !== 0 || one.type === "bind") {
      const recursive = flags & MS_REC;
      atTarget(
        root,
        one,
        (at) =>
          mapping === undefined
            ? mount(one.source, at, null, MS_BIND | recursive, null)
            : bindMapped(one.source, at, mapping.maps, recursive !== 0),
      );
      // The kernel ignores all other flags of a bind mount when it is made. Its target is looked up
      // again: what was opened before is what the mount now covers.
      const rest = flags & ~(MS_BIND | MS_REC);
      if (rest !== 0) {
        atTarget(root, one, (at) => mount(null, at, null, MS_BIND | MS_REMOUNT | rest, null));
      }
    } else {
      atTarget(
        root,
        one,
        (at) =>
          mapping === undefined || one.type !== "overlay"
            ? mountPlain(one, at, flags, data)
            : withMappedLayers(
              data,
              mapping,
              layersOf(root),
              (mapped) => mountPlain(one, at, flags, mapped),
            ),
      );
    }
  } catch (error) {
    throw new HostError({
      operation: "mount the root file system",
      subject: `${one.type} ${one.source}${one.target === "" ? "" : ` at ${one.target}`}`,
      reason: errorMessage(error),
      cause: error,
    });
  }
}

/**
 * Calls `use` with the path of where a mount belongs. Below the root that is a directory of an image:
 * its links lead nowhere else, and no process can replace it in between.
 */
function atTarget(root: string, { target }: RootfsMount, use: (path: string) => void): void {
  if (target === "") return use(root);
  const rootFd = open(root, O_PATH | O_DIRECTORY);
  try {
    const how = { flags: O_PATH | O_DIRECTORY, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
    const fd = openat2(rootFd, target, how);
    try {
      use(`/proc/self/fd/${fd}`);
    } finally {
      close(fd);
    }
  } finally {
    close(rootFd);
  }
}

function mountPlain(one: RootfsMount, directory: string, flags: number, data: string[]): void {
  const text = data.join(",");
  if (text.length <= MAXIMUM_DATA || one.type !== "overlay") {
    mount(one.source, directory, one.type, flags, text);
    return;
  }
  // An image of very many layers: paths relative to the directory that all layers are in. Nothing else
  // runs while the working directory is another.
  const { base, options } = shortenLowerDirectories(data);
  const before = Deno.cwd();
  Deno.chdir(base);
  try {
    mount(one.source, directory, one.type, flags, options.join(","));
  } finally {
    Deno.chdir(before);
  }
}

/**
 * An overlay's options with lower directories relative to what they have in common.
 *
 * @param options which have a `lowerdir=` of absolute paths
 * @returns the common directory, and the options
 */
export function shortenLowerDirectories(
  options: readonly string[],
): { base: string; options: string[] } {
  const key = "lowerdir=";
  const lower = options.find((option) => option.startsWith(key))?.slice(key.length) ?? "";
  const paths = lower.split(":");
  let base = paths[0]!.slice(0, paths[0]!.lastIndexOf("/") + 1);
  while (!paths.every((path) => path.startsWith(base))) {
    base = base.slice(0, base.lastIndexOf("/", base.length - 2) + 1);
  }
  return {
    base,
    options: options.map((option) =>
      option.startsWith(key) ? key + paths.map((path) => path.slice(base.length)).join(":") : option
    ),
  };
}
