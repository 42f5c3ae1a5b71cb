import {
  AF_UNIX,
  close,
  MSG_NOSIGNAL,
  O_RDONLY,
  open,
  readAsync,
  send,
  SOCK_STREAM,
  socket,
} from "../../ffi/linux.ts";
import { HostError, WrongStateError } from "../errors.ts";
import { readAppArmorProfile } from "../host/apparmor.ts";
import { compareIdentity, type Identity, printIdentity, readIdentity } from "../host/identity.ts";
import { isGone } from "../host/os_error.ts";
import { connectAt } from "../launch/sockets.ts";
import { START_BYTE } from "../launch/steps/exec.ts";
import { runEveryHook } from "./hooks.ts";
import { forceDelete } from "./delete.ts";
import { type ContainerState, ociState } from "./state.ts";
import { containerStatus } from "./pause.ts";
import { isAlive } from "./status.ts";
import { requireState } from "./require.ts";
import type { ContainerDirectory, Lock, Store } from "./store.ts";

/** What start found out, for whoever waits for the monitor. */
export interface Started {
  state: ContainerState;
  /** Problems that do not undo a start, as the specification wants them: failed poststart hooks. */
  warnings: string[];
}

/**
 * Starts a created container: lets init exec the monitor, and proves its identity again.
 *
 * @throws NotFoundError, WrongStateError unless it is created, HostError when the exec failed
 */
export async function startContainer(store: Store, id: string): Promise<Started> {
  const directory = store.open(id);
  using _lock = await lockCreated(directory);
  const state = requireCreated(directory);
  await letExec(directory, state);
  const started = await proveAfterExec(directory, state);
  directory.writeState(started);
  // A failed poststart hook is logged, and the container goes on (runtime.md, lifecycle step 9).
  const warnings = await runEveryHook(started.hooks.poststart, ociState(started, "running"), {
    name: "poststart",
  });
  return { state: started, warnings };
}

/**
 * A creator holds the lock for as long as its hooks take: what cannot be started is refused before.
 *
 * @throws NotFoundError, WrongStateError
 */
async function lockCreated(directory: ContainerDirectory): Promise<Lock> {
  const lock = directory.tryLock();
  if (lock !== undefined) return lock;
  requireCreated(directory);
  return await directory.lockAsync();
}

/** @throws WrongStateError unless the container is created */
function requireCreated(directory: ContainerDirectory): ContainerState {
  const state = requireState(directory);
  const status = containerStatus(state);
  if (status === "created") return state;
  throw new WrongStateError({
    operation: "start container",
    subject: directory.id,
    reason: `cannot start a container in the state ${status}`,
    remedy: status === "paused" ? "resume it first" : "a container is started once, after create",
  });
}

/** Connects to the waiting init, asks for the exec, and waits until it happened. */
async function letExec(directory: ContainerDirectory, state: ContainerState): Promise<void> {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    connectAt(fd, `${directory.path}/start.sock`);
    send(fd, new Uint8Array([START_BYTE]), MSG_NOSIGNAL);
    const buffer = new Uint8Array(4096);
    const count = await readAsync(fd, buffer);
    // End of file: the socket is close-on-exec, so the exec happened (or init was killed, and the
    // container is stopped, which the next state tells).
    if (count === 0) return;
    throw new HostError({
      operation: "start container",
      subject: state.id,
      reason: new TextDecoder().decode(buffer.subarray(0, count)),
    });
  } finally {
    close(fd);
  }
}

/**
 * Reads the identity again, now of the monitor itself. One that has ended already is no error;
 * seccomp filters may have grown, since monitors add their own.
 *
 * @throws HostError after the container was killed, when the identity is not the planned one
 */
async function proveAfterExec(
  directory: ContainerDirectory,
  state: ContainerState,
): Promise<ContainerState> {
  const started: ContainerState = { ...state, phase: "started" };
  const identity = await readIdentityOf(directory, state);
  if (identity === undefined) return started;
  const differences = [
    ...compareIdentity(identity, state.expectedIdentity!, 0),
    ...compareProfile(state),
  ];
  if (differences.length === 0 || !isAlive(state.pid, state.pidStartTime)) {
    return { ...started, identity: printIdentity(identity) };
  }
  await forceDelete(directory, state);
  throw new HostError({
    operation: "prove the monitor's identity",
    subject: state.id,
    reason: differences.join("; "),
    remedy: "this is a defect of urunc: the container was killed",
  });
}

/**
 * Undefined when the monitor has ended. One whose identity cannot be read for any other reason is
 * killed: nothing would be proven.
 */
async function readIdentityOf(
  directory: ContainerDirectory,
  state: ContainerState,
): Promise<Identity | undefined> {
  try {
    waitForExec(state.pid!);
    return readIdentity(state.pid!);
  } catch (error) {
    if (isGone(error)) return undefined;
    await forceDelete(directory, state);
    throw error;
  }
}

/** AppArmor confines from the exec on, so this is the first moment to see it. */
function compareProfile(state: ContainerState): string[] {
  const planned = state.expectedIdentity!.apparmorProfile;
  if (planned === undefined) return [];
  const actual = readAppArmorProfile(state.pid!);
  if (actual === planned) return [];
  return [`AppArmor profile is ${actual}, planned was ${planned}`];
}

/**
 * Descriptors are closed before the new credentials take effect, so the end of file alone does not
 * mean that /proc/PID/status tells the monitor's. Opening `environ` takes the lock that execve holds
 * until it is through (exec_update_lock: fs/exec.c, mm_access in kernel/fork.c).
 */
function waitForExec(pid: number): void {
  close(open(`/proc/${pid}/environ`, O_RDONLY));
}
