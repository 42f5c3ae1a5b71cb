import {
  close,
  fstat,
  LinuxError,
  lseek,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  open,
  openat2,
  read,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  SEEK_SET,
} from "../../ffi/linux.ts";
import { errorMessage, InvalidConfigurationError } from "../errors.ts";
import type { ImageFileFacts } from "./types.ts";
import { isCode } from "../os/os_error.ts";

const TYPE_NAMES: Readonly<Record<number, string>> = {
  [S_IFSOCK]: "a socket",
  [S_IFLNK]: "a symbolic link",
  [S_IFBLK]: "a block device",
  [S_IFDIR]: "a directory",
  [S_IFCHR]: "a character device",
  [S_IFIFO]: "a FIFO",
};

/** openat2(2): EAGAIN means that a rename on the way raced with the lookup; then try again. */
const LOOKUP_ATTEMPTS = 64;

const OPERATION = "open in the image";
const REMEDY =
  "annotations or /urunc.json name it, by com.urunc.unikernel.binary, initrd and the like";

/**
 * Opens the directory that an image's paths are resolved in.
 *
 * @param rootfs absolute host path; it comes from the caller, who is trusted, so symlinks to it are
 *   followed
 * @returns an O_PATH descriptor; the caller closes it
 * @throws InvalidConfigurationError when the directory does not exist
 */
export function openImageRoot(rootfs: string): number {
  try {
    return open(rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);
  } catch (error) {
    throw new InvalidConfigurationError({
      operation: "open the root file system",
      subject: rootfs,
      reason: describe(error),
      remedy: "root.path in config.json names it",
      cause: error,
    });
  }
}

/**
 * Opens a regular file of an image. The path is resolved by the kernel with the image's root as
 * `/`: symlinks and `..` stay inside whatever else happens to the tree meanwhile (CVE-2021-30465),
 * and links of /proc are never followed (CVE-2024-21626).
 *
 * The file is checked before it is opened for reading, and the same file is then opened: a
 * FIFO cannot block and a device is never touched.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 * @param flags O_PATH to refer to the file, O_RDONLY to read it
 * @returns a descriptor; the caller closes it
 * @throws InvalidConfigurationError naming the path, when it is missing or not a regular file
 */
export function openImageFile(rootFd: number, path: string, flags: number): number {
  const found = lookUp(rootFd, path);
  if (flags === O_PATH) return found;
  try {
    // Through the descriptor: resolving the path again could find something else by now.
    return open(`/proc/self/fd/${found}`, flags | O_NONBLOCK | O_CLOEXEC);
  } catch (error) {
    throw refusal(path, describe(error), error);
  } finally {
    close(found);
  }
}

/** An O_PATH descriptor of a regular file in the image. */
function lookUp(rootFd: number, path: string): number {
  const how = { flags: O_PATH | O_CLOEXEC, resolve: RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
  for (let attempt = 1;; attempt++) {
    let fd: number;
    try {
      fd = openat2(rootFd, path, how);
    } catch (error) {
      if (isCode(error, "EAGAIN") && attempt < LOOKUP_ATTEMPTS) continue;
      throw refusal(path, describe(error), error);
    }
    const type = fstat(fd).mode & S_IFMT;
    if (type === S_IFREG) return fd;
    close(fd);
    throw refusal(path, `it is ${TYPE_NAMES[type] ?? "of an unknown type"}, not a regular file`);
  }
}

/**
 * Looks at a regular file of an image.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 * @throws InvalidConfigurationError naming the path, when it is missing or not a regular file
 */
export function statImageFile(rootFd: number, path: string): ImageFileFacts {
  const fd = openImageFile(rootFd, path, O_PATH);
  try {
    const { size, uid, gid, mode } = fstat(fd);
    return { path, size, uid, gid, mode: mode & 0o7777 };
  } finally {
    close(fd);
  }
}

/**
 * Reads a small file of an image.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 * @param maximumBytes a longer file is refused, without having been read
 * @returns undefined when the image has no such file
 * @throws InvalidConfigurationError naming the path, when it is too long or not a regular file
 */
export function readImageFile(
  rootFd: number,
  path: string,
  maximumBytes: number,
): Uint8Array | undefined {
  let fd: number;
  try {
    fd = openImageFile(rootFd, path, O_RDONLY);
  } catch (error) {
    if (error instanceof InvalidConfigurationError && isCode(error.cause, "ENOENT")) {
      return undefined;
    }
    throw error;
  }
  try {
    const { size } = fstat(fd);
    if (size > maximumBytes) {
      throw refusal(path, `it has ${size} bytes, at most ${maximumBytes} are allowed`);
    }
    // The size is read once; a file that grows meanwhile is cut there.
    const content = new Uint8Array(size);
    return content.subarray(0, readWhole(fd, content));
  } finally {
    close(fd);
  }
}

/**
 * Whether an image has anything by that name, even a dangling link. What is not a directory on the
 * way there counts as not having it.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 */
export function isNamedInImage(rootFd: number, path: string): boolean {
  const resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  try {
    close(openat2(rootFd, path, { flags: O_PATH | O_NOFOLLOW | O_CLOEXEC, resolve }));
    return true;
  } catch (error) {
    if (isCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/**
 * The beginning of a file of an image.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 * @param length bytes; fewer are returned when the file is shorter
 * @throws InvalidConfigurationError naming the path, when it is missing or not a regular file
 */
export function readImageHead(rootFd: number, path: string, length: number): Uint8Array {
  const fd = openImageFile(rootFd, path, O_RDONLY);
  try {
    const head = new Uint8Array(length);
    return head.subarray(0, read(fd, head));
  } finally {
    close(fd);
  }
}

/**
 * Reads parts of a file of an image.
 *
 * @param rootFd from `openImageRoot`
 * @param path as the image names it
 * @param use is called once, with a function that reads from an offset; fewer bytes at the file's end
 * @returns what `use` does
 * @throws InvalidConfigurationError naming the path, when it is missing or not a regular file
 */
export function readImageParts<Result>(
  rootFd: number,
  path: string,
  use: (read: (offset: number, length: number) => Uint8Array) => Result,
): Result {
  const fd = openImageFile(rootFd, path, O_RDONLY);
  try {
    const { size } = fstat(fd);
    return use((offset, length) => {
      if (offset >= size) return new Uint8Array();
      lseek(fd, offset, SEEK_SET);
      const part = new Uint8Array(Math.min(length, size - offset));
      return part.subarray(0, readWhole(fd, part));
    });
  } finally {
    close(fd);
  }
}

/** @returns how many bytes there were */
function readWhole(fd: number, buffer: Uint8Array): number {
  let filled = 0;
  while (filled < buffer.length) {
    const count = read(fd, buffer.subarray(filled));
    if (count === 0) break;
    filled += count;
  }
  return filled;
}

function refusal(path: string, reason: string, cause?: unknown): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: OPERATION,
    subject: path,
    reason,
    remedy: REMEDY,
    cause,
  });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "a component of the path is not a directory",
  ELOOP: "it leads through too many symbolic links, or through one of /proc",
  ENAMETOOLONG: "the path is too long",
};

function describe(error: unknown): string {
  if (error instanceof LinuxError) return REASONS[error.code] ?? error.code;
  return errorMessage(error);
}
