import {
  CLONE_NEWPID,
  close,
  O_RDONLY,
  open,
  setns,
  SOCK_STREAM,
  socketpair,
  spawn,
  unshare,
} from "../../ffi/linux.ts";
import type { PidNamespace } from "../plan/namespaces.ts";
import { selfCommand } from "../os/self.ts";
import { Channel, type CreatorMessage, type InitMessage, TERMINAL_FD } from "./channel.ts";
import { CHANNEL_FD } from "./init.ts";
import type { Observer } from "./observer.ts";
import { refuseDirectory } from "./stdio.ts";

/** An init process that waits for its first plan. */
export interface SpawnedInit {
  /** In the creator's PID namespace. */
  pid: number;
  channel: Channel<CreatorMessage, InitMessage>;
  /** A `prepareMove` of it that may be under way. Never rejects. */
  moving?: Promise<void>;
  /** Is called when it was waited for: from then on its number may be another process's. */
  reaped?(): void;
}

/**
 * Starts an init process in its PID namespace, with the caller's standard input, output and error,
 * the channel and, if one is wanted, a socket for its terminal; nothing else, and an empty
 * environment (whatever is in the caller's never gets as far as a monitor).
 *
 * A PID namespace takes effect for children only, so it is entered by the creator's thread, which
 * returns to its own right after: its later children (hooks) belong to the host's.
 *
 * @param terminal socket over which init is to send its terminal's master; it is not closed here
 * @throws LinuxError; HostError when a standard file is a directory
 */
export function spawnInit(
  pidNamespace: PidNamespace,
  observer: Observer,
  terminal?: number,
): SpawnedInit {
  for (const fd of [0, 1, 2]) refuseDirectory(fd, fd);
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const own = open("/proc/self/ns/pid", O_RDONLY);
  try {
    enterForChildren(pidNamespace);
    const [path, ...leading] = selfCommand();
    const pid = spawn({
      path: path!,
      argv: [path!, ...leading, "init", ...observer.initArguments()],
      env: [],
      fds: [
        { from: theirs, to: CHANNEL_FD },
        ...(terminal === undefined ? [] : [{ from: terminal, to: TERMINAL_FD }]),
      ],
    });
    return { pid, channel: new Channel(ours) };
  } catch (error) {
    close(ours);
    throw error;
  } finally {
    setns(own, CLONE_NEWPID);
    close(own);
    close(theirs);
  }
}

function enterForChildren(pidNamespace: PidNamespace): void {
  if (pidNamespace.kind === "new") unshare(CLONE_NEWPID);
  if (pidNamespace.kind === "join") {
    const fd = open(pidNamespace.path, O_RDONLY);
    try {
      setns(fd, CLONE_NEWPID);
    } finally {
      close(fd);
    }
  }
}
