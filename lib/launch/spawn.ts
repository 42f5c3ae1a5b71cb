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
import { Channel, type CreatorMessage, type InitMessage } from "./channel.ts";
import { type ForkFds, forkInit } from "./fork.ts";
import { CREATOR_FDS, type CreatorFds } from "./init.ts";
import type { Observer } from "./observer.ts";
import { refuseDirectory } from "./stdio.ts";

/** No descriptor. */
const NO_TERMINAL = -1;

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
  return connected(
    pidNamespace,
    ({ inits }, inNamespace) => inNamespace(() => spawnSelf(observer, inits)),
    terminal,
  );
}

/**
 * As `spawnInit`; where it can be, init is a fork of this process, which is there at once. For a process that
 * makes one container: what it knows of it is in init's memory, too.
 */
export function startInit(
  pidNamespace: PidNamespace,
  observer: Observer,
  terminal?: number,
): SpawnedInit {
  return connected(pidNamespace, (fds, inNamespace) =>
    // Each in a namespace of its own: a new one ends with its first process.
    inNamespace(() => forkInit(observer, fds)) ??
      inNamespace(() => spawnSelf(observer, fds.inits)), terminal);
}

/** Calls what starts a process, with the PID namespace of children entered. */
type InNamespace = <Pid>(start: () => Pid) => Pid;

function connected(
  pidNamespace: PidNamespace,
  start: (fds: ForkFds, inNamespace: InNamespace) => number,
  terminal = NO_TERMINAL,
): SpawnedInit {
  for (const fd of [0, 1, 2]) refuseDirectory(fd, fd);
  const [ours, theirs] = socketpair(SOCK_STREAM);
  const own = open("/proc/self/ns/pid", O_RDONLY);
  try {
    const fds = { creators: ours, inits: { channel: theirs, terminal } };
    const pid = start(fds, (it) => {
      try {
        enterForChildren(pidNamespace);
        return it();
      } finally {
        setns(own, CLONE_NEWPID);
      }
    });
    return { pid, channel: new Channel(ours) };
  } catch (error) {
    close(ours);
    throw error;
  } finally {
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

/** An init that is a program of its own. */
function spawnSelf(observer: Observer, { channel, terminal }: CreatorFds): number {
  const [path, ...leading] = selfCommand();
  return spawn({
    path: path!,
    argv: [path!, ...leading, "init", ...observer.initArguments()],
    env: [],
    fds: [
      { from: channel, to: CREATOR_FDS.channel },
      ...(terminal === NO_TERMINAL ? [] : [{ from: terminal, to: CREATOR_FDS.terminal }]),
    ],
  });
}
