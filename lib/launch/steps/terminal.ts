import {
  AF_UNIX,
  AT_EMPTY_PATH,
  close,
  dup2,
  fchmod,
  fchownat,
  fstat,
  LinuxError,
  MSG_NOSIGNAL,
  openPrivatePty,
  rawModes,
  sendDescriptor,
  setCloexec,
  setControllingTerminal,
  setTerminalSize,
  SOCK_STREAM,
  socket,
  tcgetattr,
  tcsetattr,
} from "../../../ffi/linux.ts";
import { connectAt } from "../../os/sockets.ts";
import type { StepHandlers } from "../context.ts";

/** What the master is called in the message that carries it, as in runc's; it carries no information. */
export const MASTER_NAME = new TextEncoder().encode("/dev/ptmx");

const STANDARD_FILES = [0, 1, 2] as const;

/** The monitor's terminal: created, sent, used. */
export const TERMINAL_STEPS: StepHandlers<"openTerminal" | "sendTerminal" | "useTerminal"> = {
  openTerminal({ uid, gid, mode, size }, context) {
    const terminal = openPrivatePty();
    context.terminal = terminal;
    fchownat(terminal.slave, "", uid, gid, AT_EMPTY_PATH);
    fchmod(terminal.slave, mode);
    // As raw as monitors make it themselves, but before anything can be typed: the guest echoes.
    tcsetattr(terminal.slave, rawModes(tcgetattr(terminal.slave)!, false));
    if (size !== undefined) setTerminalSize(terminal.slave, size);
  },

  sendTerminal({ to }, context) {
    const { master } = context.terminal!;
    const fd = to.kind === "creator" ? context.terminalTaker : connect(to.path);
    sendDescriptor(fd, MASTER_NAME, master, MSG_NOSIGNAL);
    close(fd);
    // The caller has the only one now: when it closes it, the monitor's terminal is hung up.
    close(master);
  },

  useTerminal(_step, context) {
    const { slave } = context.terminal!;
    setControllingTerminal(slave);
    // Found before they are replaced: a reader of the caller's pipe, as containerd's shim
    // for runc does until `create` is done, must not wait for copies that Deno keeps until the exec.
    for (const fd of copiesOf(STANDARD_FILES)) {
      dup2(slave, fd);
      setCloexec(fd, true);
    }
    for (const fd of STANDARD_FILES) dup2(slave, fd);
    close(slave);
    context.terminal = undefined;
  },
};

/** Other descriptors of this process that are of the same files. */
function copiesOf(fds: readonly number[]): number[] {
  const files = new Set(fds.map(fileOf));
  return [...Deno.readDirSync("/proc/self/fd")].map(({ name }) => Number(name))
    .filter((fd) => !fds.includes(fd) && files.has(fileOf(fd)));
}

/** A name that is one file's only; empty for a descriptor that is not open (any more). */
function fileOf(fd: number): string {
  try {
    const { dev, ino } = fstat(fd);
    return `${dev.major}:${dev.minor} ${ino}`;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EBADF") return "";
    throw error;
  }
}

function connect(path: string): number {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  connectAt(fd, path);
  return fd;
}
