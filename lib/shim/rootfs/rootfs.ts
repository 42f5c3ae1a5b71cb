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
import { parseMountOptions } from "./mount_options.ts";

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
 * Mounts a container's root file system. When one fails, those mounted before are unmounted.
 *
 * A snapshot that could be written to is mounted read-only, see `allowWriting`: of a guest's nothing but a
 * disk image is ever written to, and when a writable overlay is unmounted the kernel writes back the
 * whole file system that holds its upper directory (ovl_sync_fs, fs/overlayfs/super.c), whichever process wrote to
 * that.
 *
 * @param directory of the root; made when it is not there
 * @throws HostError naming the mount
 */
export async function mountRootfs(mounts: RootfsMount[], directory: string): Promise<void> {
  if (mounts.length === 0) return;
  makeDirectory(directory);
  const options = isWritableOverlay(mounts) ? ["ro"] : [];
  try {
    for (const one of mounts) {
      await mountOne({ ...one, options: [...one.options, ...options] }, directory);
    }
  } catch (error) {
    unmountRootfs(directory);
    throw error;
  }
}

/**
 * Makes what `mountRootfs` has mounted as writable as it was meant to be.
 *
 * @param mounts the same
 * @throws LinuxError
 */
export function allowWriting(mounts: RootfsMount[], directory: string): void {
  if (!isWritableOverlay(mounts)) return;
  const { flags } = parseMountOptions(mounts[0]!.options);
  mount(null, directory, null, flags | MS_REMOUNT, null);
}

/** A snapshot of containerd's usual snapshotter. */
function isWritableOverlay(mounts: RootfsMount[]): boolean {
  const [first] = mounts;
  if (mounts.length !== 1 || first?.type !== "overlay" || first.target !== "") return false;
  const { flags, data } = parseMountOptions(first.options);
  return (flags & MS_RDONLY) === 0 && data.some((option) => option.startsWith("upperdir="));
}

/**
 * Unmounts everything at and below a container's root. Nothing mounted there is not an error.
 *
 * @throws LinuxError
 */
export function unmountRootfs(directory: string): void {
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

function makeDirectory(directory: string): void {
  try {
    Deno.mkdirSync(directory, { mode: 0o711 });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

async function mountOne(one: RootfsMount, root: string): Promise<void> {
  const { flags, data, loop } = parseMountOptions(one.options);
  try {
    if (loop) {
      const { withLoopDevice } = await import("./loop_device.ts");
      withLoopDevice(
        one.source,
        (flags & MS_RDONLY) !== 0,
        (device) => atTarget(root, one, (at) => mount(device, at, one.type, flags, data.join(","))),
      );
    } else if ((flags & MS_BIND) !== 0 || one.type === "bind") {
      atTarget(root, one, (at) => mount(one.source, at, null, MS_BIND | (flags & MS_REC), null));
      // The kernel ignores all other flags of a bind mount when it is made. Its target is looked up
      // again: what was opened before is what the mount now covers.
      const rest = flags & ~(MS_BIND | MS_REC);
      if (rest !== 0) {
        atTarget(root, one, (at) => mount(null, at, null, MS_BIND | MS_REMOUNT | rest, null));
      }
    } else {
      atTarget(root, one, (at) => mountPlain(one, at, flags, data));
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
