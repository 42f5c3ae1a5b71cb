import {
  close,
  LinuxError,
  pidfdOpen,
  pidfdSendSignal,
  SIGKILL,
  signals,
} from "../../ffi/linux.ts";
import { UsageError, WrongStateError } from "../errors.ts";
import { signalCgroup } from "./cgroups/cgroup.ts";
import { thawCgroup } from "./cgroups/freezer.ts";
import type { ContainerState } from "./state.ts";
import { computeStatus, isAlive } from "./status.ts";
import { requireState } from "./require.ts";
import type { Store } from "./store.ts";

/** Signals that end a process or stop it by default, and so have nothing to do before `start`. */
const HARMLESS_BY_DEFAULT = new Set(["SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH", "SIGSTOP"]);

/** SIGRTMAX, asm-generic/signal.h. */
const LAST_SIGNAL = 64;

/**
 * A signal's number from its name (`SIGTERM`, `TERM`, any case) or number.
 *
 * @throws UsageError
 */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number <= LAST_SIGNAL) return number;
  } else {
    const upper = text.toUpperCase();
    const number = signals[upper.startsWith("SIG") ? upper : `SIG${upper}`];
    if (number !== undefined) return number;
  }
  throw new UsageError({
    operation: "parse signal",
    subject: text,
    reason: "there is no such signal",
    remedy: `use a name such as SIGTERM or TERM, or a number from 0 to ${LAST_SIGNAL}`,
  });
}

/**
 * Sends a signal to a container's process, or to all of its processes.
 *
 * @param signal number
 * @throws NotFoundError; WrongStateError unless it is created or running, except that signalling all
 *   processes of a stopped container is how callers clean up
 */
export function killContainer(store: Store, id: string, signal: number, all: boolean): void {
  const state = requireState(store.open(id));
  const status = computeStatus(state);
  // Its process is still the creator's, who undoes everything when it fails.
  if (status === "creating") throw notRunning(id);
  const effective = status === "created" ? effectBeforeStart(signal) : signal;
  if (!all || !signalCgroup(state.cgroupPaths, effective)) {
    if (status === "stopped" && all) return;
    if (status === "stopped") throw notRunning(id);
    signalContainer(state, effective);
  }
  // A paused one dies only when it goes on (v1), and does not get as far as its own code.
  if (effective === SIGKILL) thawCgroup(state.cgroupPaths);
}

/**
 * Before `start` the process is still init, as PID 1 of its namespace: the kernel drops every signal
 * but SIGKILL that it has no handler for. Whoever terminates a created container means it.
 */
function effectBeforeStart(signal: number): number {
  const name = Object.keys(signals).find((key) => signals[key] === signal);
  return signal === 0 || (name !== undefined && HARMLESS_BY_DEFAULT.has(name)) ? signal : SIGKILL;
}

/** Signals the very process that the state names: never a later one with the same id. */
function signalContainer(state: ContainerState, signal: number): void {
  const pidfd = openProcess(state);
  if (pidfd === undefined) throw notRunning(state.id);
  try {
    pidfdSendSignal(pidfd, signal);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ESRCH") throw notRunning(state.id);
    throw error;
  } finally {
    close(pidfd);
  }
}

/**
 * A pidfd of the container's process; undefined when it is gone. The start time is compared after
 * the pidfd was opened: from then on the id cannot be reused unnoticed.
 */
export function openProcess(state: ContainerState): number | undefined {
  if (state.pid === undefined) return undefined;
  let pidfd: number;
  try {
    pidfd = pidfdOpen(state.pid);
  } catch (error) {
    if (error instanceof LinuxError && (error.code === "ESRCH" || error.code === "EINVAL")) {
      return undefined;
    }
    throw error;
  }
  if (isAlive(state.pid, state.pidStartTime)) return pidfd;
  close(pidfd);
  return undefined;
}

function notRunning(id: string): WrongStateError {
  // containerd and podman match "container not running" and "process already finished".
  return new WrongStateError({
    operation: "kill container",
    subject: id,
    reason: "container not running",
  });
}
