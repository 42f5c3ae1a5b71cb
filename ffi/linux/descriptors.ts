/**
 * Opening, reading, writing and arranging file descriptors.
 * @module
 */
import {
  F_ADD_SEALS,
  F_DUPFD_CLOEXEC,
  F_GETFL,
  F_OFD_SETLK,
  F_SETFD,
  F_SETFL,
  F_WRLCK,
  FD_CLOEXEC,
  LOCK_NB,
  O_CLOEXEC,
  O_NONBLOCK,
} from "../constants/fcntl.ts";
import { errnos } from "../constants/errno.ts";
import { POLLIN } from "../constants/poll.ts";
import { SYS_close_range, SYS_openat2 } from "../constants/syscall.ts";
import { checked, LinuxError, retried } from "../errors.ts";
import { allocate, cString } from "../memory.ts";
import { allocateStruct, FLOCK, OPEN_HOW, setField } from "../structs.ts";
import * as fcntl from "../symbols/fcntl.ts";
import * as sysFile from "../symbols/sys_file.ts";
import * as sysIoctl from "../symbols/sys_ioctl.ts";
import * as sysMman from "../symbols/sys_mman.ts";
import * as sysSendfile from "../symbols/sys_sendfile.ts";
import * as raw from "../symbols/syscall.ts";
import * as unistd from "../symbols/unistd.ts";
import { pollAsync } from "./poll.ts";

/** One sendfile(2) moves at most this many bytes. */
const SENDFILE_MAXIMUM = 0x7ffff000;

/** How often a path is resolved again while others rename parts of it. */
const OPENAT2_ATTEMPTS = 32;

/**
 * @param path what to open
 * @param flags O_*; O_CLOEXEC is always added
 * @param mode of a new file, before the umask
 * @returns a descriptor
 * @throws {LinuxError}
 * @see open(2)
 */
export function open(path: string, flags: number, mode = 0): number {
  const name = cString(path, "open");
  return retried("open", path, () => fcntl.open(name, flags | O_CLOEXEC, mode));
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path what to open
 * @param flags O_*; O_CLOEXEC is always added
 * @param mode of a new file, before the umask
 * @returns a descriptor
 * @throws {LinuxError}
 * @see openat(2)
 */
export function openat(dirfd: number, path: string, flags: number, mode = 0): number {
  const name = cString(path, "openat");
  return retried("openat", path, () => fcntl.openat(dirfd, name, flags | O_CLOEXEC, mode));
}

/**
 * @param dirfd directory that `path` is relative to, or AT_FDCWD
 * @param path what to open
 * @param how `flags`: O_*, O_CLOEXEC is always added; `resolve`: RESOLVE_*; `mode` of a new file,
 * which must be absent unless the flags create one
 * @returns a descriptor
 * @throws {LinuxError} EXDEV, ELOOP when the path leads where `resolve` does not allow
 * @see openat2(2)
 */
export function openat2(
  dirfd: number,
  path: string,
  how: { flags: number; mode?: number; resolve: number },
): number {
  const name = cString(path, "openat2");
  const struct = allocateStruct(OPEN_HOW);
  setField(struct, "flags", how.flags | O_CLOEXEC);
  setField(struct, "mode", how.mode ?? 0);
  setField(struct, "resolve", how.resolve);
  for (let attempt = 1;; attempt++) {
    try {
      return retried("openat2", path, () =>
        raw.openat2(
          BigInt(SYS_openat2),
          dirfd,
          name,
          struct.bytes,
          BigInt(struct.bytes.length),
        ));
    } catch (error) {
      // A rename or mount somewhere on this machine raced with `..`. Bounded: it may go on forever.
      const raced = error instanceof LinuxError && error.code === "EAGAIN";
      if (!raced || attempt === OPENAT2_ATTEMPTS) throw error;
    }
  }
}

/**
 * @param fd a descriptor; it is closed even when this throws, and must not be closed again
 * @throws {LinuxError} EBADF; EIO and others report an earlier write
 * @see close(2)
 */
export function close(fd: number): void {
  checked("close", `fd ${fd}`, () => unistd.close(fd));
}

/**
 * Closes in another thread: for files that take the kernel long to release.
 *
 * @param fd a descriptor; errors are ignored
 */
export function closeInBackground(fd: number): void {
  void unistd.closeNonblocking(fd);
}

/**
 * @param fd a descriptor
 * @param buffer receives at most its length
 * @returns bytes read; 0 at the end
 * @throws {LinuxError}
 * @see read(2)
 */
export function read(fd: number, buffer: Uint8Array): number {
  return retried("read", `fd ${fd}`, () => unistd.read(fd, buffer, BigInt(buffer.length)));
}

/**
 * Waits for input in another thread, then reads. It does not block the caller's thread, unless another
 * reader takes the input first.
 *
 * @param fd a descriptor
 * @param buffer receives at most its length
 * @returns bytes read; 0 at the end
 * @throws {LinuxError}
 */
export async function readAsync(fd: number, buffer: Uint8Array): Promise<number> {
  await pollAsync([{ fd, events: POLLIN }], -1);
  return read(fd, buffer);
}

/**
 * @param fd a descriptor
 * @param buffer what to write
 * @returns bytes written, possibly fewer than given
 * @throws {LinuxError}
 * @see write(2)
 */
export function write(fd: number, buffer: Uint8Array): number {
  return retried("write", `fd ${fd}`, () => unistd.write(fd, buffer, BigInt(buffer.length)));
}

/**
 * Writes in another thread: for writes that take the kernel long.
 *
 * @param fd a descriptor, open until the promise settles
 * @param buffer what to write
 * @returns whether all of it was written; the reason is not available
 */
export async function tryWriteAsync(fd: number, buffer: Uint8Array): Promise<boolean> {
  const count = await unistd.writeNonblocking(fd, buffer, BigInt(buffer.length));
  return Number(count) === buffer.length;
}

/**
 * Writes all of it, with as many calls as it takes.
 *
 * @param fd a blocking descriptor
 * @param buffer what to write
 * @throws {LinuxError}
 */
export function writeAll(fd: number, buffer: Uint8Array): void {
  for (let done = 0; done < buffer.length;) done += write(fd, buffer.subarray(done));
}

/**
 * @returns a pipe's two ends, closed at exec: to read from, and to write to
 * @throws {LinuxError}
 * @see pipe(2)
 */
export function pipe(): [number, number] {
  const cell = allocate(8);
  checked("pipe2", undefined, () => unistd.pipe2(cell, O_CLOEXEC));
  const view = new DataView(cell.buffer);
  return [view.getInt32(0, true), view.getInt32(4, true)];
}

/**
 * @param fd a descriptor of something that can be positioned
 * @param offset bytes
 * @param whence SEEK_*
 * @returns bytes from the start
 * @throws {LinuxError}
 * @see lseek(2)
 */
export function lseek(fd: number, offset: number, whence: number): number {
  return checked("lseek", `fd ${fd}`, () => unistd.lseek(fd, BigInt(offset), whence));
}

/**
 * Unlike fcntl's F_DUPFD it leaves the copy open across an exec.
 *
 * @param oldfd what to copy
 * @param newfd the copy's number; closed first if it is open
 * @throws {LinuxError}
 * @see dup2(2)
 */
export function dup2(oldfd: number, newfd: number): void {
  retried("dup2", `fd ${oldfd} to ${newfd}`, () => unistd.dup2(oldfd, newfd));
}

/**
 * Unlike dup2's, the copy is closed at the next exec.
 *
 * @param fd what to copy
 * @param least lowest number for the copy
 * @returns the copy
 * @throws {LinuxError} EINVAL when `least` is beyond the limit of open files
 * @see fcntl(2), F_DUPFD_CLOEXEC
 */
export function dupAbove(fd: number, least: number): number {
  return checked("fcntl", `fd ${fd}`, () => fcntl.fcntl(fd, F_DUPFD_CLOEXEC, least));
}

/**
 * @param first lowest descriptor
 * @param last highest, included; 0xffffffff for all
 * @param flags CLOSE_RANGE_CLOEXEC: closes them at the next exec
 * @throws {LinuxError}
 * @see close_range(2)
 */
export function closeRange(first: number, last: number, flags: number): void {
  checked(
    "close_range",
    `fds ${first} to ${last}`,
    () => raw.close_range(BigInt(SYS_close_range), first, last, flags),
  );
}

/**
 * @param fd a descriptor
 * @param on whether the next exec closes it
 * @throws {LinuxError}
 * @see fcntl(2)
 */
export function setCloexec(fd: number, on: boolean): void {
  checked("fcntl", `fd ${fd}`, () => fcntl.fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0));
}

/**
 * @param fd a descriptor; all copies of it share the setting, in other processes too
 * @param on whether calls fail with EAGAIN instead of waiting
 * @throws {LinuxError}
 * @see fcntl(2)
 */
export function setNonblock(fd: number, on: boolean): void {
  const flags = checked("fcntl", `fd ${fd}`, () => fcntl.fcntl(fd, F_GETFL, 0));
  const wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  checked("fcntl", `fd ${fd}`, () => fcntl.fcntl(fd, F_SETFL, wanted));
}

/**
 * @param fd a descriptor
 * @param operation LOCK_*
 * @throws {LinuxError} EAGAIN: LOCK_NB, and it is held elsewhere
 * @see flock(2)
 */
export function flock(fd: number, operation: number): void {
  retried("flock", `fd ${fd}`, () => sysFile.flock(fd, operation));
}

/**
 * Takes an exclusive lock on one byte, which need not exist. The lock belongs to the open file
 * description: copies of the descriptor, inherited ones too, share it, and it is released when the last
 * one is closed.
 *
 * @param fd open for writing
 * @param offset the byte's, from the file's start
 * @throws {LinuxError} EAGAIN: it is held elsewhere
 * @see fcntl(2), "Open file description locks"
 */
export function lockByte(fd: number, offset: number): void {
  const lock = allocateStruct(FLOCK);
  setField(lock, "l_type", F_WRLCK);
  setField(lock, "l_start", offset);
  setField(lock, "l_len", 1);
  retried("fcntl", `fd ${fd}`, () => fcntl.fcntlLock(fd, F_OFD_SETLK, lock.bytes));
}

/**
 * Waits for the lock in another thread.
 *
 * @param fd a descriptor
 * @param operation LOCK_*
 * @throws {LinuxError}
 */
export async function flockAsync(fd: number, operation: number): Promise<void> {
  for (;;) {
    // On this thread first, where errno can be read; then only waiting is left.
    try {
      return flock(fd, operation | LOCK_NB);
    } catch (error) {
      const taken = error instanceof LinuxError && error.errno === errnos.EAGAIN;
      if (!taken || (operation & LOCK_NB) !== 0) throw error;
    }
    if (await sysFile.flockNonblocking(fd, operation) === 0) return;
  }
}

/**
 * Copies from one descriptor's position to the other's, inside the kernel.
 *
 * @param inFd a file
 * @param outFd anything
 * @param maximumBytes refuse to copy more; the target then holds one byte more than that
 * @returns bytes copied
 * @throws {LinuxError} EFBIG: there is more
 * @see sendfile(2)
 */
export function copyFile(inFd: number, outFd: number, maximumBytes: number): number {
  const subject = `fd ${inFd} to ${outFd}`;
  for (let copied = 0;;) {
    const count = BigInt(Math.min(maximumBytes + 1 - copied, SENDFILE_MAXIMUM));
    const moved = retried(
      "sendfile",
      subject,
      () => sysSendfile.sendfile(outFd, inFd, null, count),
    );
    if (moved === 0) return copied;
    copied += moved;
    if (copied > maximumBytes) {
      throw new LinuxError(
        "sendfile",
        subject,
        errnos.EFBIG as number,
        `more than ${maximumBytes} bytes`,
      );
    }
  }
}

/**
 * @param name for /proc/PID/fd only
 * @param flags MFD_*
 * @returns a descriptor of an empty file in memory
 * @throws {LinuxError}
 * @see memfd_create(2)
 */
export function memfdCreate(name: string, flags: number): number {
  const bytes = cString(name, "memfd_create");
  return checked("memfd_create", name, () => sysMman.memfd_create(bytes, flags));
}

/**
 * @param fd of a file that was made with MFD_ALLOW_SEALING
 * @param seals F_SEAL_*
 * @throws {LinuxError}
 * @see fcntl(2), F_ADD_SEALS
 */
export function addSeals(fd: number, seals: number): void {
  checked("fcntl", `fd ${fd}`, () => fcntl.fcntl(fd, F_ADD_SEALS, seals));
}

/**
 * @param fd a descriptor of a device or socket
 * @param request as the device's header has it
 * @param argument an integer, or a structure that the device reads or writes
 * @returns depends on the request
 * @throws {LinuxError}
 * @see ioctl(2)
 */
export function ioctl(
  fd: number,
  request: number,
  argument: number | bigint | Uint8Array,
): number {
  const subject = `0x${request.toString(16)} on fd ${fd}`;
  const op = BigInt(request);
  if (argument instanceof Uint8Array) {
    // Deno would pass NULL.
    if (argument.length === 0) {
      throw new LinuxError("ioctl", subject, errnos.EINVAL as number, "empty argument");
    }
    return retried("ioctl", subject, () => sysIoctl.ioctlPointer(fd, op, argument));
  }
  const value = BigInt.asUintN(64, BigInt(argument));
  return retried("ioctl", subject, () => sysIoctl.ioctl(fd, op, value));
}
