/**
 * Terminals and pseudo-terminals.
 * @module
 */
import { O_CLOEXEC, O_NOCTTY, O_RDWR } from "../constants/fcntl.ts";
import { errnos } from "../constants/errno.ts";
import { MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID } from "../constants/mount.ts";
import {
  BRKINT,
  CS8,
  CSIZE,
  ECHO,
  ECHONL,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNBRK,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IXON,
  OPOST,
  PARENB,
  PARMRK,
  TCGETS,
  TCSETS,
  TIOCGPTPEER,
  TIOCGWINSZ,
  TIOCSCTTY,
  TIOCSPTLCK,
  TIOCSWINSZ,
  VMIN,
  VTIME,
} from "../constants/termios.ts";
import { LinuxError } from "../errors.ts";
import { allocate } from "../memory.ts";
import { allocateStruct, getField, KERNEL_TERMIOS, setField, WINSIZE } from "../structs.ts";
import { close, ioctl, openat } from "./descriptors.ts";
import { mountDetached } from "./namespaces.ts";

/** A terminal's modes, as the kernel has them; see `termios(3)`. */
export type TerminalModes = Uint8Array<ArrayBuffer>;

/** In characters. */
export interface TerminalSize {
  rows: number;
  columns: number;
}

/**
 * A pseudo-terminal of its own devpts instance, which is not mounted: it has no path, and making it
 * resolves no path of an image (CVE-2025-52565).
 *
 * @returns both sides; neither becomes the caller's controlling terminal
 * @throws {LinuxError} EPERM without CAP_SYS_ADMIN
 * @see pts(4), ioctl_tty(2)
 */
export function openPrivatePty(): { master: number; slave: number } {
  const attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  const devpts = mountDetached("devpts", { mode: "0600", ptmxmode: "0600" }, attributes);
  try {
    const master = openat(devpts, "ptmx", O_RDWR | O_NOCTTY);
    try {
      ioctl(master, TIOCSPTLCK, allocate(4));
      // This ioctl sets close-on-exec only with O_CLOEXEC.
      return { master, slave: ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC) };
    } catch (error) {
      close(master);
      throw error;
    }
  } finally {
    close(devpts);
  }
}

/**
 * Makes a terminal the caller's controlling one.
 *
 * @param fd a terminal that is not controlling another session
 * @throws {LinuxError} EPERM unless the caller leads a session without one
 * @see TIOCSCTTY(2const)
 */
export function setControllingTerminal(fd: number): void {
  ioctl(fd, TIOCSCTTY, 0);
}

/**
 * @param fd any descriptor
 * @returns the terminal's modes; undefined when it is not a terminal
 * @throws {LinuxError} EIO: the terminal was hung up
 * @see termios(3)
 */
export function tcgetattr(fd: number): TerminalModes | undefined {
  const modes = allocateStruct(KERNEL_TERMIOS);
  try {
    ioctl(fd, TCGETS, modes.bytes);
    return modes.bytes;
  } catch (error) {
    // Devices without this ioctl return other errors than ENOTTY, too.
    const code = error instanceof LinuxError ? error.errno : undefined;
    if (code === errnos.ENOTTY || code === errnos.EINVAL) return undefined;
    throw error;
  }
}

/**
 * Takes effect at once; pending input and output is kept.
 *
 * @param fd a terminal
 * @param modes from `tcgetattr`, or changed
 * @throws {LinuxError}
 * @see termios(3)
 */
export function tcsetattr(fd: number, modes: TerminalModes): void {
  ioctl(fd, TCSETS, modes);
}

/**
 * Raw modes: input is passed on unchanged, at once and without echo.
 *
 * @param modes to begin with; not changed
 * @param output whether output is raw, too; otherwise a line feed is still written as CR LF
 * @see cfmakeraw(3)
 */
export function rawModes(modes: TerminalModes, output: boolean): TerminalModes {
  const raw = allocateStruct(KERNEL_TERMIOS);
  raw.bytes.set(modes);
  const clear = (field: "c_iflag" | "c_oflag" | "c_cflag" | "c_lflag", flags: number) =>
    setField(raw, field, getField(raw, field) & ~flags);
  clear("c_iflag", IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
  if (output) clear("c_oflag", OPOST);
  clear("c_lflag", ECHO | ECHONL | ICANON | ISIG | IEXTEN);
  clear("c_cflag", CSIZE | PARENB);
  setField(raw, "c_cflag", getField(raw, "c_cflag") | CS8);
  const { offset } = KERNEL_TERMIOS.fields.c_cc;
  raw.bytes[offset + VMIN] = 1;
  raw.bytes[offset + VTIME] = 0;
  return raw.bytes;
}

/**
 * @param fd a terminal
 * @throws {LinuxError} ENOTTY
 * @see TIOCGWINSZ(2const)
 */
export function getTerminalSize(fd: number): TerminalSize {
  const size = allocateStruct(WINSIZE);
  ioctl(fd, TIOCGWINSZ, size.bytes);
  return { rows: getField(size, "ws_row"), columns: getField(size, "ws_col") };
}

/**
 * @param fd either side of a terminal; the foreground processes are sent SIGWINCH when it changes
 * @throws {LinuxError} ENOTTY
 * @see TIOCSWINSZ(2const)
 */
export function setTerminalSize(fd: number, { rows, columns }: TerminalSize): void {
  const size = allocateStruct(WINSIZE);
  setField(size, "ws_row", rows);
  setField(size, "ws_col", columns);
  ioctl(fd, TIOCSWINSZ, size.bytes);
}
