import {
  chdir,
  close,
  fchdir,
  O_PATH,
  O_RDONLY,
  open,
  openat,
  read,
  setns,
  SOCK_STREAM,
  socketpair,
  spawn,
  unshare,
  waitpid,
} from "../../../ffi/linux.ts";
import { type MonitorNamespace, NAMESPACE_FILES } from "../../host/namespaces.ts";
import type { InheritedFd } from "../../plan/types.ts";
import { openedBy, type PerformContext, type StepHandlers } from "../context.ts";
import { makePrograms, PROGRAM } from "../programs.ts";
import { CLONE_FLAGS, cloneFlags } from "./namespaces.ts";

/**
 * The monitor's process, in namespaces of its own. The container's process, which this one becomes, has
 * no privilege to make any. So this one starts it before the barrier, with the last capability that it has:
 *
 * 1. It enters new namespaces. Of a PID namespace only its children are (unshare(2)).
 * 2. It starts the monitor's process, which executes the waiter's program and so loses the capability. That
 *    waits for the container's process, which sends the monitor's standard files when the container is started.
 *    If that process is to be in a user namespace, it is the one program that gets the capability: it enters
 *    the namespace with it, has none then, and says so. Without that the proof of it could come too early.
 * 3. It returns to the container's own, which were held: /proc cannot be reached any more.
 */
export const MONITOR_STEPS: StepHandlers<
  | "openWaiter"
  | "holdNamespaces"
  | "enterMonitorNamespaces"
  | "startMonitor"
  | "leaveMonitorNamespaces"
> = {
  openWaiter(_step, context) {
    context.programs = makePrograms();
    context.opened.set("program", openat(context.programs, PROGRAM, O_PATH));
  },

  holdNamespaces({ namespaces }, context) {
    const held = namespaces.map((it): [MonitorNamespace, number] => {
      return [it, open(`/proc/thread-self/ns/${NAMESPACE_FILES[it]}`, O_RDONLY)];
    });
    context.held = new Map(held);
  },

  enterMonitorNamespaces({ namespaces }) {
    unshare(cloneFlags(namespaces));
  },

  startMonitor({ argv, fds, entersUserNamespace }, context) {
    const { pid, connection } = startProgram({ argv, fds }, context);
    context.monitorPid = pid;
    context.opened.set("go", connection);
    if (entersUserNamespace) waitUntilEntered(connection, context);
  },

  leaveMonitorNamespaces(_step, { held }) {
    for (const [it, fd] of held!) {
      setns(fd, CLONE_FLAGS[it]);
      close(fd);
    }
  },
};

/**
 * Starts a process that executes the waiter's program, by the name that its argument 0 says.
 *
 * @returns its pid, and the connection that its standard files are
 */
export function startProgram(
  { argv, fds }: { argv: string[]; fds: InheritedFd[] },
  context: PerformContext,
): { pid: number; connection: number } {
  const [ours, theirs] = socketpair(SOCK_STREAM);
  // In none of its standard files it gets the caller's, not even until it has others.
  const standard = [0, 1, 2].map((to) => ({ from: theirs, to }));
  const inherited = fds.map(({ name, fd }) => ({ from: openedBy(context, name), to: fd }));
  // By a relative path: the directory has no other. The program leaves it.
  fchdir(context.programs!);
  const pid = spawn({ path: PROGRAM, argv, env: [], fds: [...standard, ...inherited] });
  chdir("/");
  close(theirs);
  return { pid, connection: ours };
}

/**
 * The monitor's process answers by a byte, 0, and by a text when it failed: lib/build/waiter/waiter.c. When
 * it has made a PID namespace, that is followed by the pid of the one that goes on in it.
 */
function waitUntilEntered(connection: number, context: PerformContext): void {
  const answer = new Uint8Array(512);
  const count = read(connection, answer);
  const text = new TextDecoder().decode(answer.subarray(0, count));
  if (!text.startsWith("\0")) throw new Error(text === "" ? "the monitor's process ended" : text);
  if (count === 1) return;
  waitpid(context.monitorPid!, 0);
  context.monitorPid = Number(text.slice(1));
}
