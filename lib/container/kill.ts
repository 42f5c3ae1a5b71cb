import { close, LinuxError, pidfdSendSignal, pollAsync, POLLIN, SIGKILL } from "../../ffi/linux.ts";
import { HostError, WrongStateError } from "../errors.ts";
import {
  effectOf,
  requireSignal,
  SIGCONT,
  type SignalEffect,
  SIGSTOP,
  SIGTERM,
  SIGTSTP,
} from "../monitor/signals.ts";
import { cgroupProcesses, killCgroup, signalCgroup } from "../cgroups/cgroup.ts";
import { thawCgroup } from "../cgroups/freezer.ts";
import type { Status } from "../oci/state.ts";
import type { StopOutcome } from "../monitor/types.ts";
import { openAlive } from "../os/alive.ts";
import { debug, since } from "../watch.ts";
import { fileServerPid, monitorPid } from "./monitor_process.ts";
import { requireState } from "./require.ts";
import type { ContainerState } from "./state.ts";
import { computeStatus } from "./status.ts";
import { monitorByName, monitorNames } from "../monitor/registry.ts";
import { type ContainerDirectory, CONTROL_SOCKET, type Store } from "./store.ts";

/** How long a killed process may take to end: the kernel tears down the guest's memory. Seconds. */
const KILL_TIMEOUT = 10;

/** How a signal is to be sent. */
export interface KillOptions {
  /** To all processes of the container; a stopped one is then no error. */
  all?: boolean;
  /** A signal that would ask the guest to stop ends it without asking. */
  atOnce?: boolean;
}

/**
 * Does to a container what a signal means for it (`lib/monitor/signals.ts`). Returns when a guest was asked
 * to stop (`Monitor.stop` says how long it takes at most); not when it has stopped.
 *
 * @param signal number
 * @throws UsageError for a signal that does not exist; NotFoundError; WrongStateError unless it is
 *   created or running, except that signalling all processes of a stopped container is how callers
 *   clean up
 */
export async function killContainer(
  store: Store,
  id: string,
  signal: number,
  { all = false, atOnce = false }: KillOptions = {},
): Promise<void> {
  requireSignal(signal);
  const directory = store.open(id);
  const state = requireState(directory);
  const status = computeStatus(state);
  // Its process is still the creator's, who undoes everything when it fails.
  if (status === "creating") throw notRunning(id);
  const effect = effectOf(signal, state.annotations);
  const isCreated = status === "created";
  const number = isCreated
    ? numberBeforeStart(effect, signal)
    : numberOf(effect, signal, status !== "stopped" && state.stop?.agent);
  debug(`kill: signal ${signal} means ${effect}`, { id, status, number, all });
  const pidfd = status === "stopped" ? undefined : openProcess(state);
  try {
    if (pidfd === undefined) return await signalRest(directory, { status, number, all });
    // Nothing but waiter, monitor and file server is in there, unless it was put there: it gets the signal itself.
    if (all) signalOthers(state, isCreated ? number : signal);
    const asking = effect === "stop" && !isCreated && !atOnce ? state.stop?.asking : undefined;
    if (
      asking !== undefined &&
      await askGuest(directory, state) !== "unresponsive"
    ) return;
    debug(`kill: signal ${number} to the waiter`, { id, pid: state.pid });
    // One that was asked may have ended since.
    if (!await signalProcess(state, pidfd, number) && asking === undefined) throw notRunning(id);
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}

/**
 * Signals what lives on without the container's process; nothing can be asked of it.
 *
 * @throws WrongStateError when there is nothing; NotFoundError when the container is deleted meanwhile
 */
async function signalRest(
  directory: ContainerDirectory,
  { status, number, all }: { status: Status; number: number; all: boolean },
): Promise<void> {
  if (status === "stopped" && !all) throw notRunning(directory.id);
  // Its cgroup could be another container's by now.
  using _lock = await directory.lockAsync();
  const { cgroupPaths } = requireState(directory);
  if (!all && cgroupProcesses(cgroupPaths).length === 0) throw notRunning(directory.id);
  if (number === 0) return;
  if (number === SIGTSTP) signalCgroup(cgroupPaths, SIGSTOP);
  else if (number === SIGCONT) signalCgroup(cgroupPaths, SIGCONT);
  else await killCgroup(cgroupPaths, 0);
}

function signalOthers(state: ContainerState, number: number): void {
  signalCgroup(state.cgroupPaths, number, [state.pid, monitorPid(state), fileServerPid(state)]);
}

/**
 * SIGKILL goes to everything in the container's cgroup: where others share its PID namespace, the
 * kernel would kill the waiter alone, and a monitor could live on.
 *
 * @returns false when the process has exited before
 */
async function signalProcess(
  { cgroupPaths }: ContainerState,
  pidfd: number,
  number: number,
): Promise<boolean> {
  try {
    pidfdSendSignal(pidfd, number);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ESRCH") return false;
    throw error;
  }
  if (number === SIGKILL) await killCgroup(cgroupPaths, 0);
  return true;
}

/** Asks the guest to shut down, in its monitor's way. */
async function askGuest(
  { id, path }: ContainerDirectory,
  { monitor }: ContainerState,
): Promise<StopOutcome> {
  // Another version may know monitors that this one does not.
  if (!monitorNames().includes(monitor)) return "unresponsive";
  const began = performance.now();
  const guest = { controlSocket: `${path}/${CONTROL_SOCKET}` };
  const outcome = await monitorByName(monitor).stop?.(guest) ?? "unresponsive";
  debug(`kill: asked the guest to stop: ${outcome}`, { ms: since(began), id });
  return outcome;
}

/**
 * The signal by which the waiter has this effect on the monitor. One that ends it is the caller's own:
 * the container's exit code has its number. To a program in a guest with an agent the waiter passes on
 * whatever it gets.
 */
function numberOf(effect: SignalEffect, signal: number, hasAgent = false): number {
  switch (effect) {
    case "stop":
      if (hasAgent) return signal;
      return effectOf(signal) === "stop" ? signal : SIGTERM;
    case "end":
      return SIGKILL;
    case "pause":
      return SIGTSTP; // SIGSTOP would stop the waiter alone
    case "resume":
      return SIGCONT;
    case "nothing":
      return hasAgent ? signal : 0;
    case "test":
      return 0; // which still checks whether the process exists
  }
}

/**
 * Before `start` the process is still init, as PID 1 of its namespace: the kernel drops every signal
 * but SIGKILL and SIGSTOP that it has no handler for. A signal that terminates is meant to end a created container.
 */
function numberBeforeStart(effect: SignalEffect, signal: number): number {
  if (effect === "stop") return SIGKILL;
  return effect === "pause" ? SIGSTOP : numberOf(effect, signal);
}

/**
 * Has the kernel end the container's process, also one that is stopped or paused. Does not wait for
 * its end; nothing happens when it has ended. Needs no lock: it is the process that the state names,
 * or none.
 */
export async function killProcess(state: ContainerState): Promise<void> {
  const pidfd = openProcess(state);
  if (pidfd === undefined) return;
  try {
    await killOpened(state, pidfd);
  } finally {
    close(pidfd);
  }
}

/** As `killProcess`, by the process's descriptor, which stays open. */
export async function killOpened(state: ContainerState, pidfd: number): Promise<void> {
  try {
    pidfdSendSignal(pidfd, SIGKILL);
  } catch (error) {
    if (!(error instanceof LinuxError && error.code === "ESRCH")) throw error;
  }
  // A paused one dies of it only when it is thawed (v1), and does not run any code of its own.
  await thawCgroup(state.cgroupPaths);
}

/**
 * Ends everything that a container runs, its process and what is in its cgroup, and waits until it has
 * exited. The caller holds the container's lock, or is the parent of its process: otherwise the cgroup
 * may be another container's by now.
 *
 * @throws HostError when something outlives SIGKILL
 */
export async function endContainer(state: ContainerState): Promise<void> {
  const pidfd = openProcess(state);
  try {
    // Before it is in its cgroup.
    if (pidfd !== undefined) await killOpened(state, pidfd);
    await killCgroup(state.cgroupPaths);
    if (pidfd !== undefined) await waitForExit(state, pidfd);
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}

async function waitForExit({ id, pid }: ContainerState, pidfd: number): Promise<void> {
  const [events] = await pollAsync([{ fd: pidfd, events: POLLIN }], KILL_TIMEOUT * 1000);
  if (events !== 0) return;
  throw new HostError({
    operation: "kill container",
    subject: id,
    reason: `process ${pid} did not end within ${KILL_TIMEOUT} s of SIGKILL`,
    remedy: "it hangs in the kernel: see its state in /proc, then delete again",
  });
}

/**
 * A pidfd of the container's process; undefined when it has exited.
 *
 * @throws LinuxError EMFILE and the like
 */
export function openProcess({ pid, pidStartTime }: ContainerState): number | undefined {
  return openAlive(pid, pidStartTime);
}

function notRunning(id: string): WrongStateError {
  // containerd and podman match "container not running" and "process already finished".
  return new WrongStateError({
    operation: "kill container",
    subject: id,
    reason: "container not running",
  });
}
