import {
  AF_UNIX,
  AT_EMPTY_PATH,
  close,
  dup2,
  fchmod,
  fchownat,
  MSG_NOSIGNAL,
  openPrivatePty,
  rawModes,
  sendDescriptor,
  setControllingTerminal,
  setTerminalSize,
  SOCK_STREAM,
  socket,
  tcgetattr,
  tcsetattr,
} from "../../../ffi/linux.ts";
import { TERMINAL_FD } from "../channel.ts";
import { connectAt } from "../sockets.ts";
import type { StepHandlers } from "../perform.ts";

/** What the master is called in the message that carries it, as in runc's; it tells nothing. */
const MASTER_NAME = new TextEncoder().encode("/dev/ptmx");

/** The monitor's terminal: made, handed over, used. */
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
    const fd = to.kind === "creator" ? TERMINAL_FD : connect(to.path);
    sendDescriptor(fd, MASTER_NAME, master, MSG_NOSIGNAL);
    close(fd);
    // The caller has the only one now: when it closes it, the monitor's terminal is hung up.
    close(master);
  },

  useTerminal(_step, context) {
    const { slave } = context.terminal!;
    setControllingTerminal(slave);
    for (const fd of [0, 1, 2]) dup2(slave, fd);
    close(slave);
    context.terminal = undefined;
  },
};

function connect(path: string): number {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  connectAt(fd, path);
  return fd;
}
