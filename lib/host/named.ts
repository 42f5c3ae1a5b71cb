import {
  close,
  fstat,
  getxattr,
  O_CLOEXEC,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  open,
  readLink,
  S_IFLNK,
  S_IFMT,
} from "../../ffi/linux.ts";
import { parentPath } from "../os/path.ts";
import { parseAcl } from "./acl.ts";
import { type Credentials, type Guarded, mayAccess, overridesPermissions } from "./access.ts";

/** As many links as the kernel follows, MAXSYMLINKS in include/linux/namei.h. */
const MAXIMUM_LINKS = 40;

/**
 * Opens a file of the host that a container names, as the source of a mount, so that it can be checked
 * before anything is done with it. The directories on the way are root's to pass, as they are for every
 * OCI runtime: an engine's own are closed to others.
 *
 * A symbolic link is followed only when root made it, such as /etc/resolv.conf or a name below /dev/disk:
 * a container's user, who may write to a directory that is shared with the container, could put one there
 * that leads to any file.
 *
 * @param path absolute host path
 * @returns an O_PATH descriptor, which the caller closes
 * @throws Error for a link of another user's; LinuxError
 */
export function openNamed(path: string): number {
  for (let links = 0, at = path; links <= MAXIMUM_LINKS; links++) {
    const fd = open(at, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    const { mode, uid } = fstat(fd);
    if ((mode & S_IFMT) !== S_IFLNK) return fd;
    // Of the link whose owner was checked: another may have its name by now.
    const target = readLink(fd);
    close(fd);
    if (uid !== 0) throw new Error(`${at} is a symbolic link of uid ${uid}: name the file itself`);
    at = target.startsWith("/") ? target : `${parentPath(at)}/${target}`;
  }
  throw new Error(`${path} leads through too many symbolic links`);
}

/**
 * Opens what `openNamed` has found for reading or writing: the same file, whatever its name leads to by
 * now.
 *
 * @param flags O_RDONLY or O_RDWR; a FIFO is not waited for
 * @returns a descriptor, which the caller closes
 * @throws {LinuxError}
 */
export function reopen(fd: number, flags: number): number {
  return open(`/proc/self/fd/${fd}`, flags | O_NONBLOCK | O_CLOEXEC);
}

/**
 * Whether a container's user could open a file in the container, as it would be bound there by any OCI
 * runtime.
 *
 * @param fd of `openNamed`
 * @param want permission bits of `access.ts`
 */
export function userMayOpen(fd: number, user: Credentials, want: number): boolean {
  return overridesPermissions(user) || mayAccess(guardOf(fd), user, want);
}

/** Who may open a file, whatever it was opened for. */
export function guardOf(fd: number): Guarded {
  const { uid, gid, mode } = fstat(fd);
  const acl = getxattr(`/proc/self/fd/${fd}`, "system.posix_acl_access");
  return { uid, gid, mode: mode & 0o7777, ...(acl === undefined ? {} : { acl: parseAcl(acl) }) };
}

/** Says of a file whose it is and who may not open it, for an error. */
export function explainRefusal(fd: number, { uid, gid }: Credentials): string {
  const { uid: owner, gid: group, mode } = guardOf(fd);
  return `it belongs to uid ${owner}, group ${group}, with mode ${
    mode.toString(8).padStart(4, "0")
  }: the container's user, uid ${uid}, gid ${gid}, may not open it`;
}
