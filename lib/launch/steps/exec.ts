import {
  close,
  dup2,
  dupAbove,
  fexecve,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_RDWR,
  O_WRONLY,
  open,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socketpair,
  writeAll,
} from "../../../ffi/linux.ts";
import { listenAt } from "../../os/sockets.ts";
import { sealedFile } from "../sealed_file.ts";
import { programOf } from "../../seccomp/filter.ts";
import {
  agentPorts,
  execPort,
  execPortToAdd,
  execSocket,
  HANDING,
  handingSocket,
  portEnds,
} from "../../plan/agent.ts";
import type { InheritedFd } from "../../plan/types.ts";
import { openedBy, type PerformContext, type StepHandlers } from "../context.ts";

/** What a `start` sends: a single byte, so that it can never arrive in halves. lib/build/waiter/waiter.c has it, too. */
export const START_BYTE = 0x53;

/** Monitors talk to one at a time: so many more may wait. */
const CONTROL_BACKLOG = 4;

/** A port has one process at a time; those that were killed before the monitor took them may be before it. */
const EXEC_BACKLOG = 16;

/** What waits for `start` and for further processes, and the barrier: nothing of the guest's is run before `start`. */
export const EXEC_STEPS: StepHandlers<
  | "listenForStart"
  | "listenForControl"
  | "openFilter"
  | "connectEvents"
  | "connectAgent"
  | "listenForExec"
  | "openConsole"
  | "barrier"
  | "exec"
> = {
  listenForStart({ path }, context) {
    context.opened.set("start", listenAt(path, 1));
  },

  listenForControl({ path }, context) {
    context.opened.set("control", listenAt(path, CONTROL_BACKLOG));
  },

  openFilter({ name, filter }, context) {
    context.opened.set(name, sealedFile("urunc-filter", programOf(filter)));
  },

  connectEvents(_step, context) {
    const [watch, events] = socketpair(SOCK_STREAM);
    context.opened.set("watch", watch).set("events", events);
  },

  connectAgent({ dns }, context) {
    for (const port of agentPorts(dns === true)) {
      const [ours, theirs] = socketpair(SOCK_STREAM);
      const ends = portEnds(port);
      context.opened.set(ends.ours, ours).set(ends.theirs, theirs);
    }
  },

  openConsole({ path, size }, context) {
    const fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600);
    // Its pages are there from now on: what it is mapped by does not meet a full file system.
    writeAll(fd, new Uint8Array(size));
    context.opened.set("console", fd);
  },

  listenForExec({ directory, ports }, context) {
    Deno.mkdirSync(directory, { mode: 0o700 });
    if (ports === "vsock") {
      const [, callers] = HANDING;
      context.opened.set(callers, listenAt(handingSocket(directory), EXEC_BACKLOG, SOCK_NONBLOCK));
      return;
    }
    for (let index = 0; index < ports.most; index++) {
      context.opened.set(execPort(index), listenAt(execSocket(directory, index), EXEC_BACKLOG));
      if (index < ports.first) continue;
      close(open(execPortToAdd(directory, index), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600));
    }
  },

  barrier(_step, context) {
    context.announceBarrier();
  },

  exec({ argv, env, fds }, context) {
    giveNumbers(fds, context);
    // The name, then what is known only now.
    const [name, ...words] = argv;
    const { monitorPid, fileServerPid } = context;
    const children = [
      `monitor=${monitorPid}`,
      ...(fileServerPid === undefined ? [] : [`server=${fileServerPid}`]),
    ];
    // It closes the channel when it waits: so the creator learns of it.
    fexecve(openedBy(context, "program"), [name!, ...children, ...words], env);
  },
};

/**
 * Gives descriptors the numbers that the waiter expects. The last thing before the exec: what is needed until then
 * is moved out of their way first.
 */
function giveNumbers(fds: InheritedFd[], context: PerformContext): void {
  const last = Math.max(...fds.map(({ fd }) => fd));
  const above = (fd: number) => fd > last ? fd : dupAbove(fd, last + 1);
  context.opened.set("channel", context.moveChannel(above));
  context.opened.set("program", above(openedBy(context, "program")));
  const sources = fds.map(({ name, fd }) => ({ from: above(openedBy(context, name)), fd }));
  // A copy is not close-on-exec (dup(2)), and is of another number than what it is made of.
  for (const { from, fd } of sources) dup2(from, fd);
}
