import {
  accept,
  AF_UNIX,
  close,
  dup2,
  dupAbove,
  execve,
  listen,
  MSG_NOSIGNAL,
  read,
  send,
  SOCK_STREAM,
  socket,
  umask,
} from "../../../ffi/linux.ts";
import { bindAt } from "../../os/sockets.ts";
import type { InheritedFd } from "../../plan/types.ts";
import type { PerformContext, StepHandlers } from "../context.ts";
import { errorMessage } from "../../errors.ts";

/** What a `start` sends: a single byte, so that it can never arrive in halves. */
export const START_BYTE = 0x53;

/** Monitors talk to one at a time: so many more may wait. */
const CONTROL_BACKLOG = 4;

/** The barrier: everything before it is `create`, the one step after it is `start`. */
export const EXEC_STEPS: StepHandlers<
  "listenForStart" | "listenForControl" | "barrier" | "exec"
> = {
  listenForStart({ path }, context) {
    context.startListener = listenAt(path, 1);
  },

  listenForControl({ path }, context) {
    context.opened.set("control", listenAt(path, CONTROL_BACKLOG));
  },

  barrier(_step, context) {
    context.announceBarrier();
    // Anything that connects and does not ask for a start (a probe, a caller that was killed) is
    // dropped, and the wait goes on.
    for (;;) {
      const connection = accept(context.startListener!);
      const byte = new Uint8Array(1);
      if (readOrZero(connection, byte) === 1 && byte[0] === START_BYTE) {
        context.startConnection = connection;
        return;
      }
      close(connection);
    }
  },

  exec({ path, argv, env, fds = [] }, context) {
    // The connection is close-on-exec: its end of file is how `start` learns that it worked.
    try {
      giveNumbers(fds, context);
      execve(path, argv, env);
    } catch (error) {
      const text = errorMessage(error);
      send(context.startConnection!, new TextEncoder().encode(text), MSG_NOSIGNAL);
      throw error;
    }
  },
};

/**
 * Gives descriptors the numbers that the monitor was told. The last thing before the exec: whatever had
 * these numbers, the channel to the creator for one, has served its purpose. What is still needed is
 * moved out of their way first, the connection of `start` for one: closed, it would tell of success.
 */
function giveNumbers(fds: InheritedFd[], context: PerformContext): void {
  const last = Math.max(0, ...fds.map(({ fd }) => fd));
  const above = (fd: number) => fd > last ? fd : dupAbove(fd, last + 1);
  context.startConnection = above(context.startConnection!);
  const sources = fds.map(({ name, fd }) => ({ from: above(openedBy(context, name)), fd }));
  // A copy is not close-on-exec (dup(2)), and is of another number than what it is made of.
  for (const { from, fd } of sources) dup2(from, fd);
}

function openedBy({ opened }: PerformContext, name: string): number {
  const fd = opened.get(name);
  if (fd === undefined) throw new Error(`no step has opened ${name}`);
  return fd;
}

/** Only root can connect: others cannot even reach the directory. */
function listenAt(path: string, backlog: number): number {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  const mask = umask(0o177);
  try {
    bindAt(fd, path);
  } finally {
    umask(mask);
  }
  listen(fd, backlog);
  return fd;
}

function readOrZero(fd: number, buffer: Uint8Array): number {
  try {
    return read(fd, buffer);
  } catch {
    return 0;
  }
}
