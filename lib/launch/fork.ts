/**
 * An init that is forked from its creator: it does not boot.
 *
 * V8 runs in the child as in the creator (ffi/linux/fork.ts). What the creator has and an init that is a program of
 * its own would not have, the child gives up first: that it can be looked into, signal handlers, descriptors,
 * the working directory, the environment, the listener of its log. The creator's memory goes with the exec of the waiter.
 */
import {
  clearMemory,
  close,
  CLOSE_RANGE_CLOEXEC,
  closeRange,
  dropSignalHandlers,
  dup2,
  exitNow,
  fork,
  kill,
  LinuxError,
  MSG_NOSIGNAL,
  O_RDWR,
  open,
  poll,
  POLLIN,
  PR_SET_DUMPABLE,
  prctl,
  read,
  send,
  setSignalMask,
  SIGKILL,
  waitpid,
} from "../../ffi/linux.ts";
import { isLinked } from "../os/self.ts";
import { listen } from "../watch.ts";
import { type CreatorFds, runInit } from "./init.ts";
import type { Observer } from "./observer.ts";

/** What the child says first: from then on it is an init like any other. */
const FIRST_WORD = new Uint8Array([1]);

/** How long that may take. It takes 1 ms. Milliseconds. */
const FIRST_WORD_TIMEOUT = 5000;

/** First descriptor that is not standard input, output or error. */
const FIRST_EXTRA_FD = 3;
const LAST_FD = 0xffffffff;

/** An init's descriptors, and the creator's own end of the channel. */
export interface ForkFds {
  creators: number;
  inits: CreatorFds;
}

/**
 * Forks an init: a child of the calling thread, in the PID namespace of its children.
 *
 * @returns its pid; undefined when init has to be a program of its own: V8 may have threads here, or
 *   the child did not get as far as its first word, and is gone
 */
export function forkInit(observer: Observer, fds: ForkFds): number | undefined {
  // Others run V8 with threads.
  if (!isLinked()) return undefined;
  let pid: number;
  try {
    pid = fork();
  } catch (error) {
    // A shortage of memory or processes is reported when the program is started instead.
    if (error instanceof LinuxError) return undefined;
    throw error;
  }
  if (pid === 0) becomeInit(observer, fds.inits);
  if (hasSpoken(fds.creators)) return pid;
  kill(pid, SIGKILL);
  waitpid(pid, 0);
  return undefined;
}

function hasSpoken(channel: number): boolean {
  const [events] = poll([{ fd: channel, events: POLLIN }], FIRST_WORD_TIMEOUT);
  return events !== 0 && read(channel, new Uint8Array(FIRST_WORD.length)) === FIRST_WORD.length;
}

/** In the child: nothing of the creator's code may go on. */
function becomeInit(observer: Observer, fds: CreatorFds): never {
  let code = 1;
  try {
    // What the creator knows is in this memory until the exec.
    prctl(PR_SET_DUMPABLE, 0);
    // They write to descriptors of the creator's.
    dropSignalHandlers();
    setSignalMask(0n);
    giveUpDescriptors([fds.channel, fds.terminal]);
    Deno.chdir("/");
    forgetEnvironment();
    // Init says what it has to say over the channel.
    listen(undefined);
    send(fds.channel, FIRST_WORD, MSG_NOSIGNAL);
    code = runInit(observer, fds);
  } finally {
    exitNow(code);
  }
}

/**
 * Gives up all descriptors but the standard files and those that are kept. Deno still takes some for its own
 * and may write to one, to wake a thread that is not there: so their numbers must not become another file's.
 */
function giveUpDescriptors(kept: number[]): void {
  const nothing = open("/dev/null", O_RDWR);
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    const fd = Number(name);
    if (fd >= FIRST_EXTRA_FD && fd !== nothing && !kept.includes(fd)) dup2(nothing, fd);
  }
  close(nothing);
  closeRange(FIRST_EXTRA_FD, LAST_FD, CLOSE_RANGE_CLOEXEC);
}

/** Where the kernel finds the environment that it shows. @see proc_pid_stat(5), env_start and env_end */
const ENV_START = 50;
const ENV_END = 51;

/** The strings that the creator was executed with: what /proc/PID/environ shows, and getenv(3) finds. */
function forgetEnvironment(): void {
  const stat = Deno.readTextFileSync("/proc/self/stat");
  // The name, field 2, may have spaces.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [start, end] = [ENV_START, ENV_END].map((it) => BigInt(fields[it - 3]!));
  clearMemory(start!, Number(end! - start!));
}
