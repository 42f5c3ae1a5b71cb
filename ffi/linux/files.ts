/**
 * What is in directories: looking at it, making, removing, changing owner and mode.
 * @module
 */
import { errnos } from "../constants/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW } from "../constants/fcntl.ts";
import { STATX_BASIC_STATS } from "../constants/stat.ts";
import { checked, LinuxError, retried } from "../errors.ts";
import { allocate, cString } from "../memory.ts";
import { allocateStruct, getField, STATX } from "../structs.ts";
import * as sysStat from "../symbols/sys_stat.ts";
import * as sysXattr from "../symbols/sys_xattr.ts";
import * as unistd from "../symbols/unistd.ts";

/** linux/limits.h; the target of a symbolic link is shorter. */
const PATH_MAX = 4096;

export interface DeviceNumber {
  major: number;
  minor: number;
}

export interface Stat {
  /** The file system's device. */
  dev: DeviceNumber;
  /** Of a device node. */
  rdev: DeviceNumber;
  ino: number;
  /** With the type, S_IFMT. */
  mode: number;
  uid: number;
  gid: number;
  /** Bytes. */
  size: number;
  nlink: number;
}

/**
 * @param fd a descriptor, of O_PATH too
 * @throws {LinuxError}
 * @see statx(2)
 */
export function fstat(fd: number): Stat {
  return statAt(fd, "", AT_EMPTY_PATH);
}

/**
 * @param path symbolic links are followed
 * @throws {LinuxError}
 * @see statx(2)
 */
export function statPath(path: string): Stat {
  return statAt(AT_FDCWD, path, 0);
}

/**
 * @param path a symbolic link at its end is not followed
 * @throws {LinuxError}
 * @see statx(2)
 */
export function lstatPath(path: string): Stat {
  return statAt(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW);
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path empty with AT_EMPTY_PATH: `dirfd` itself
 * @param flags AT_*
 * @throws {LinuxError}
 * @see statx(2)
 */
export function statAt(dirfd: number, path: string, flags: number): Stat {
  const name = cString(path, "statx");
  const struct = allocateStruct(STATX);
  retried(
    "statx",
    path === "" ? `fd ${dirfd}` : path,
    () => sysStat.statx(dirfd, name, flags, STATX_BASIC_STATS, struct.bytes),
  );
  return {
    dev: { major: getField(struct, "stx_dev_major"), minor: getField(struct, "stx_dev_minor") },
    rdev: { major: getField(struct, "stx_rdev_major"), minor: getField(struct, "stx_rdev_minor") },
    ino: getField(struct, "stx_ino"),
    mode: getField(struct, "stx_mode"),
    uid: getField(struct, "stx_uid"),
    gid: getField(struct, "stx_gid"),
    size: getField(struct, "stx_size"),
    nlink: getField(struct, "stx_nlink"),
  };
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path of the node
 * @param mode S_IFCHR, S_IFBLK, S_IFIFO, S_IFREG, S_IFSOCK and permission bits, before the umask
 * @param device of a device node; else zeros
 * @throws {LinuxError}
 * @see mknod(2)
 */
export function mknodat(dirfd: number, path: string, mode: number, device: DeviceNumber): void {
  const name = cString(path, "mknodat");
  const dev = makedev(device);
  checked("mknodat", path, () => sysStat.mknodat(dirfd, name, mode, dev));
}

/** dev_t, with the bits where glibc's gnu_dev_makedev puts them. @see makedev(3) */
function makedev({ major, minor }: DeviceNumber): bigint {
  const [high, low] = [BigInt(major), BigInt(minor)];
  return (high & 0xfff_ff000n) << 32n | (high & 0xfffn) << 8n |
    (low & 0xfff_fff00n) << 12n | low & 0xffn;
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path of the directory
 * @param mode permission bits, before the umask
 * @throws {LinuxError}
 * @see mkdir(2)
 */
export function mkdirat(dirfd: number, path: string, mode: number): void {
  const name = cString(path, "mkdirat");
  checked("mkdirat", path, () => sysStat.mkdirat(dirfd, name, mode));
}

/**
 * @param target any text
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path of the link
 * @throws {LinuxError}
 * @see symlink(2)
 */
export function symlinkat(target: string, dirfd: number, path: string): void {
  const [to, name] = [cString(target, "symlinkat"), cString(path, "symlinkat")];
  checked("symlinkat", `${path} to ${target}`, () => unistd.symlinkat(to, dirfd, name));
}

/**
 * Where a symbolic link leads, of the one that was opened, whatever its name is by now.
 *
 * @param fd of the link, opened with O_PATH and O_NOFOLLOW
 * @throws {LinuxError}
 * @see readlink(2), on an empty path
 */
export function readLink(fd: number): string {
  const [path, target] = [cString("", "readlinkat"), allocate(PATH_MAX)];
  const length = retried(
    "readlinkat",
    `fd ${fd}`,
    () => unistd.readlinkat(fd, path, target, BigInt(PATH_MAX)),
  );
  return new TextDecoder().decode(target.subarray(0, length));
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path what to remove
 * @param flags AT_REMOVEDIR for a directory
 * @throws {LinuxError}
 * @see unlink(2)
 */
export function unlinkat(dirfd: number, path: string, flags: number): void {
  const name = cString(path, "unlinkat");
  checked("unlinkat", path, () => unistd.unlinkat(dirfd, name, flags));
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path empty with AT_EMPTY_PATH: `dirfd` itself
 * @param uid new owner
 * @param gid new group
 * @param flags AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW
 * @throws {LinuxError}
 * @see chown(2)
 */
export function fchownat(
  dirfd: number,
  path: string,
  uid: number,
  gid: number,
  flags: number,
): void {
  const name = cString(path, "fchownat");
  checked(
    "fchownat",
    path === "" ? `fd ${dirfd}` : path,
    () => unistd.fchownat(dirfd, name, uid, gid, flags),
  );
}

/**
 * @param fd a descriptor, not of O_PATH
 * @param mode permission bits
 * @throws {LinuxError}
 * @see chmod(2)
 */
export function fchmod(fd: number, mode: number): void {
  checked("fchmod", `fd ${fd}`, () => sysStat.fchmod(fd, mode));
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path symbolic links are followed
 * @param mode permission bits
 * @throws {LinuxError}
 * @see chmod(2)
 */
export function fchmodat(dirfd: number, path: string, mode: number): void {
  const name = cString(path, "fchmodat");
  checked("fchmodat", path, () => sysStat.fchmodat(dirfd, name, mode, 0));
}

/**
 * @param path a directory
 * @throws {LinuxError}
 * @see chdir(2)
 */
export function chdir(path: string): void {
  const name = cString(path, "chdir");
  checked("chdir", path, () => unistd.chdir(name));
}

/**
 * @param fd of a directory
 * @throws {LinuxError}
 * @see chdir(2)
 */
export function fchdir(fd: number): void {
  checked("fchdir", `fd ${fd}`, () => unistd.fchdir(fd));
}

/**
 * @param mask permission bits that new files never get
 * @returns the one before
 * @see umask(2)
 */
export function umask(mask: number): number {
  return sysStat.umask(mask);
}

/**
 * @param path symbolic links are followed
 * @param name of the attribute, as `system.posix_acl_access`
 * @returns its value; undefined when the file has none or the file system knows no attributes
 * @throws {LinuxError}
 * @see getxattr(2)
 */
export function getxattr(path: string, name: string): Uint8Array | undefined {
  const [file, key] = [cString(path, "getxattr"), cString(name, "getxattr")];
  const subject = `${name} of ${path}`;
  const get = (value: Uint8Array | null) =>
    checked(
      "getxattr",
      subject,
      () => sysXattr.getxattr(file, key, value, BigInt(value?.length ?? 0)),
    );
  for (;;) {
    try {
      const size = get(null);
      if (size === 0) return new Uint8Array(0);
      const value = allocate(size);
      return value.subarray(0, get(value));
    } catch (error) {
      if (!(error instanceof LinuxError)) throw error;
      if (error.errno === errnos.ENODATA || error.errno === errnos.EOPNOTSUPP) return undefined;
      // It grew between the two calls.
      if (error.errno !== errnos.ERANGE) throw error;
    }
  }
}
