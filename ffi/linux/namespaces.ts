/**
 * Namespaces and mounts. All functions act on the calling thread; Deno's other threads, and so all its
 * asynchronous functions, stay in the old namespaces.
 * @module
 */
import {
  FSCONFIG_CMD_CREATE,
  FSCONFIG_SET_STRING,
  FSMOUNT_CLOEXEC,
  FSOPEN_CLOEXEC,
} from "../constants/mount.ts";
import {
  SYS_fsconfig,
  SYS_fsmount,
  SYS_fsopen,
  SYS_mount_setattr,
  SYS_move_mount,
  SYS_open_tree,
  SYS_pivot_root,
} from "../constants/syscall.ts";
import { checked, retried } from "../errors.ts";
import { cString, cStringOrNull } from "../memory.ts";
import { allocateStruct, MOUNT_ATTR, setField } from "../structs.ts";
import * as sched from "../symbols/sched.ts";
import * as sysMount from "../symbols/sys_mount.ts";
import * as raw from "../symbols/syscall.ts";
import * as unistd from "../symbols/unistd.ts";

/**
 * @param flags CLONE_NEW* and CLONE_FS; CLONE_NEWPID affects children started later
 * @throws {LinuxError} EINVAL for CLONE_NEWUSER: it needs a process of one thread
 * @see unshare(2)
 */
export function unshare(flags: number): void {
  checked("unshare", hex(flags), () => sched.unshare(flags));
}

/**
 * @param fd of a file below /proc/PID/ns, or a pidfd
 * @param nstype the CLONE_NEW* it must be, or 0
 * @throws {LinuxError} EINVAL for a mount namespace unless the thread has its own CLONE_FS
 * @see setns(2)
 */
export function setns(fd: number, nstype: number): void {
  checked("setns", `fd ${fd}`, () => sched.setns(fd, nstype));
}

/**
 * @param source device, directory or any text; null where the kernel ignores it
 * @param target where
 * @param fstype file system; null for a bind, a move, a change of propagation
 * @param flags MS_*
 * @param data the file system's own options
 * @throws {LinuxError}
 * @see mount(2)
 */
export function mount(
  source: string | null,
  target: string,
  fstype: string | null,
  flags: number,
  data: string | null,
): void {
  const [from, to, type, options] = [
    cStringOrNull(source, "mount"),
    cString(target, "mount"),
    cStringOrNull(fstype, "mount"),
    cStringOrNull(data, "mount"),
  ];
  const what = source ?? fstype;
  retried(
    "mount",
    what === null ? `${target} with flags ${hex(flags)}` : `${what} on ${target}`,
    () => sysMount.mount(from, to, type, BigInt(flags), options),
  );
}

/**
 * @param target a mount point
 * @param flags MNT_*, UMOUNT_NOFOLLOW
 * @throws {LinuxError}
 * @see umount2(2)
 */
export function umount2(target: string, flags: number): void {
  const path = cString(target, "umount2");
  retried("umount2", target, () => sysMount.umount2(path, flags));
}

/**
 * @param newRoot a mount point that becomes `/`
 * @param putOld a directory at or below it, where the old root goes
 * @throws {LinuxError}
 * @see pivot_root(2)
 */
export function pivotRoot(newRoot: string, putOld: string): void {
  const [root, old] = [cString(newRoot, "pivot_root"), cString(putOld, "pivot_root")];
  checked("pivot_root", newRoot, () => raw.pivot_root(BigInt(SYS_pivot_root), root, old));
}

/**
 * Makes a mount that is not attached to a path: it can be reached through the descriptor only, and is
 * gone when that and everything opened through it are closed.
 *
 * @param type of file system
 * @param options its own, as strings
 * @param attributes MOUNT_ATTR_*
 * @returns a descriptor of its root
 * @throws {LinuxError}
 * @see fsopen(2), fsconfig(2), fsmount(2)
 */
export function mountDetached(
  type: string,
  options: Record<string, string>,
  attributes: number,
): number {
  const name = cString(type, "fsopen");
  const context = checked(
    "fsopen",
    type,
    () => raw.fsopen(BigInt(SYS_fsopen), name, FSOPEN_CLOEXEC),
  );
  try {
    for (const [key, value] of Object.entries(options)) {
      fsconfig(context, FSCONFIG_SET_STRING, key, value);
    }
    fsconfig(context, FSCONFIG_CMD_CREATE, null, null);
    return checked(
      "fsmount",
      type,
      () => raw.fsmount(BigInt(SYS_fsmount), context, FSMOUNT_CLOEXEC, attributes),
    );
  } finally {
    unistd.close(context);
  }
}

function fsconfig(fd: number, command: number, key: string | null, value: string | null): void {
  const [keyBytes, valueBytes] = [cStringOrNull(key, "fsconfig"), cStringOrNull(value, "fsconfig")];
  checked(
    "fsconfig",
    key ?? `fd ${fd}`,
    () => raw.fsconfig(BigInt(SYS_fsconfig), fd, command, keyBytes, valueBytes, 0),
  );
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path what to pick up; empty with AT_EMPTY_PATH: `dirfd` itself
 * @param flags OPEN_TREE_*, AT_*
 * @returns a descriptor
 * @throws {LinuxError}
 * @see open_tree(2)
 */
export function openTree(dirfd: number, path: string, flags: number): number {
  const name = cString(path, "open_tree");
  return retried(
    "open_tree",
    path === "" ? `fd ${dirfd}` : path,
    () => raw.open_tree(BigInt(SYS_open_tree), dirfd, name, flags),
  );
}

/**
 * @param fromFd what to move, or the directory `fromPath` is relative to
 * @param fromPath empty with MOVE_MOUNT_F_EMPTY_PATH: `fromFd` itself
 * @param toFd where to, or the directory `toPath` is relative to
 * @param toPath empty with MOVE_MOUNT_T_EMPTY_PATH: `toFd` itself
 * @param flags MOVE_MOUNT_*
 * @throws {LinuxError}
 * @see move_mount(2)
 */
export function moveMount(
  fromFd: number,
  fromPath: string,
  toFd: number,
  toPath: string,
  flags: number,
): void {
  const [from, to] = [cString(fromPath, "move_mount"), cString(toPath, "move_mount")];
  retried(
    "move_mount",
    `${fromPath || `fd ${fromFd}`} to ${toPath || `fd ${toFd}`}`,
    () => raw.move_mount(BigInt(SYS_move_mount), fromFd, from, toFd, to, flags),
  );
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path the mount; empty with AT_EMPTY_PATH: `dirfd` itself
 * @param flags AT_EMPTY_PATH, AT_RECURSIVE, AT_SYMLINK_NOFOLLOW
 * @param attr `set` and `clear`: MOUNT_ATTR_*; `propagation`: MS_PRIVATE and the like; `userNamespace`: a
 *   descriptor, for MOUNT_ATTR_IDMAP
 * @throws {LinuxError}
 * @see mount_setattr(2)
 */
export function mountSetattr(
  dirfd: number,
  path: string,
  flags: number,
  attr: { set?: number; clear?: number; propagation?: number; userNamespace?: number },
): void {
  const name = cString(path, "mount_setattr");
  const struct = allocateStruct(MOUNT_ATTR);
  setField(struct, "attr_set", attr.set ?? 0);
  setField(struct, "attr_clr", attr.clear ?? 0);
  setField(struct, "propagation", attr.propagation ?? 0);
  setField(struct, "userns_fd", attr.userNamespace ?? 0);
  retried("mount_setattr", path === "" ? `fd ${dirfd}` : path, () =>
    raw.mount_setattr(
      BigInt(SYS_mount_setattr),
      dirfd,
      name,
      flags,
      struct.bytes,
      BigInt(struct.bytes.length),
    ));
}

/**
 * @param name at most 64 bytes
 * @throws {LinuxError}
 * @see sethostname(2)
 */
export function sethostname(name: string): void {
  const bytes = cString(name, "sethostname");
  checked("sethostname", name, () => unistd.sethostname(bytes, BigInt(bytes.length - 1)));
}

/**
 * @param name at most 64 bytes
 * @throws {LinuxError}
 * @see setdomainname(2)
 */
export function setdomainname(name: string): void {
  const bytes = cString(name, "setdomainname");
  checked("setdomainname", name, () => unistd.setdomainname(bytes, BigInt(bytes.length - 1)));
}

function hex(flags: number): string {
  return `0x${flags.toString(16)}`;
}
