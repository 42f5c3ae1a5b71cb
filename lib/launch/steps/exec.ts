import {
  accept,
  AF_UNIX,
  close,
  execve,
  listen,
  MSG_NOSIGNAL,
  read,
  send,
  SOCK_STREAM,
  socket,
} from "../../../ffi/linux.ts";
import { bindAt } from "../sockets.ts";
import type { StepHandlers } from "../perform.ts";

/** What a `start` sends: a single byte, so that it can never arrive in halves. */
export const START_BYTE = 0x53;

/** The barrier: everything before it is `create`, the one step after it is `start`. */
export const EXEC_STEPS: StepHandlers<"listenForStart" | "barrier" | "exec"> = {
  listenForStart({ path }, context) {
    const fd = socket(AF_UNIX, SOCK_STREAM, 0);
    bindAt(fd, path);
    listen(fd, 1);
    context.startListener = fd;
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

  exec({ path, argv, env }, context) {
    // The connection is close-on-exec: its end of file is how `start` learns that it worked.
    try {
      execve(path, argv, env);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      send(context.startConnection!, new TextEncoder().encode(text), MSG_NOSIGNAL);
      throw error;
    }
  },
};

function readOrZero(fd: number, buffer: Uint8Array): number {
  try {
    return read(fd, buffer);
  } catch {
    return 0;
  }
}
