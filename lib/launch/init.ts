import { fstat, LinuxError, S_IFMT, S_IFSOCK, setCloexec } from "../../ffi/linux.ts";
import { readNetwork } from "../network/discover.ts";
import { preload } from "../os/preload.ts";
import { listen, roundTo2 } from "../watch.ts";
import { Channel, type CreatorMessage, type InitMessage, type StepFailure } from "./channel.ts";
import { type Observer, StepClock } from "./observer.ts";
import { perform, StepError } from "./perform.ts";
import type { PerformContext } from "./context.ts";
import { receiveStdio } from "./stdio.ts";
import { errorMessage } from "../errors.ts";

/** Where init finds what connects it to its creator. */
export interface CreatorFds {
  channel: number;
  /** A socket to one that takes a terminal. */
  terminal: number;
}

/** Of an init that is a program of its own. */
export const CREATOR_FDS: CreatorFds = { channel: 3, terminal: 4 };

/** How many calls a stack trace shows: V8's own number. */
const STACK_TRACE_LIMIT = 10;

type InitChannel = Channel<InitMessage, CreatorMessage>;

/** Whether the process was started by a creator, which puts a socket there. */
export function hasCreator(): boolean {
  try {
    return (fstat(CREATOR_FDS.channel).mode & S_IFMT) === S_IFSOCK;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EBADF") return false;
    throw error;
  }
}

/**
 * The init process of a container: performs what the creator sends, then becomes the waiter.
 * Returns only when it did not: the exit code of a failed or abandoned init.
 */
export function runInit(observer: Observer, fds = CREATOR_FDS): number {
  setCloexec(fds.channel, true);
  let channel: InitChannel = new Channel(fds.channel);
  preloadSteps();
  let context: PerformContext | undefined;
  let clock: StepClock;
  for (;;) {
    const message = channel.receive();
    // The creator is gone: this container would never be started.
    if (message === undefined) return 1;
    try {
      if (message.type === "readNetwork") {
        channel.send({ type: "network", network: readNetwork() ?? null });
        continue;
      }
      if (message.type === "stdio") {
        receiveStdio(fds.channel);
        continue;
      }
      if (message.type === "released") throw new Error("nothing was to be released");
      clock = new StepClock(observer);
      if (message.watched) report(channel, clock);
      context ??= {
        observer: clock,
        state: message.state,
        terminalTaker: fds.terminal,
        opened: new Map(),
        releaseRootfs: () => {
          channel.send({ type: "releaseRootfs" });
          if (channel.receive()?.type !== "released") throw new Error("the creator is gone");
        },
        announceBarrier() {
          channel.send({ type: "barrier", times: clock.times() });
          // From here on the creator listens for a failure only.
          if (clock.onStep !== undefined) stopReporting(clock);
        },
        moveChannel(move) {
          channel = new Channel(move(channel.fd));
          return channel.fd;
        },
      };
      context.state = message.state;
      context.observer = clock;
      perform(message.plan, context);
      channel.send({ type: "performed", times: clock.times(), hostname: Deno.hostname() });
    } catch (error) {
      reportFailure(channel, failureOf(error));
      return 1;
    }
  }
}

/** The creator has much to read before it sends anything: what every container needs is ready then. */
function preloadSteps(): void {
  preload("./init.ts");
  preload("./steps/namespaces.ts");
  preload("./steps/root.ts");
  preload("./steps/credentials.ts");
  preload("./steps/monitor.ts");
  preload("./steps/landlock.ts");
  preload("./steps/exec.ts");
  preload("./waiter_bytes.ts");
  preload("../plan/types.ts");
  preload("../seccomp/filter.ts");
  preload("../seccomp/prepared.ts");
  preload("../../ffi/linux/namespaces.ts");
  preload("../../ffi/linux/descriptors.ts");
  preload("../../ffi/linux/files.ts");
  preload("../../ffi/linux/sockets.ts");
  preload("../../ffi/linux/credentials.ts");
  preload("../../ffi/linux/signals.ts");
  preload("../../ffi/linux/landlock.ts");
  preload("../../ffi/linux/spawn.ts");
  preload("../network/discover.ts");
  preload("../protocol/netlink/socket.ts");
  preload("../protocol/netlink/link.ts");
}

/** From now on the creator hears of every step, and of what else there is to say. */
function report(channel: InitChannel, clock: StepClock): void {
  Error.stackTraceLimit = STACK_TRACE_LIMIT;
  clock.onStep = (index, ms) => channel.send({ type: "step", index, ms: roundTo2(ms) });
  listen((message, fields) => channel.send({ type: "note", message, fields }));
}

function stopReporting(clock: StepClock): void {
  clock.onStep = undefined;
  listen(undefined);
}

function failureOf(error: unknown): StepFailure {
  if (error instanceof StepError) return error.failure;
  return { step: "init", message: errorMessage(error) };
}

function reportFailure(channel: InitChannel, failure: StepFailure): void {
  try {
    channel.send({ type: "failed", failure });
  } catch {
    // The creator is gone.
  }
}
