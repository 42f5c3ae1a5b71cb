import {
  AF_UNIX,
  close,
  LinuxError,
  MSG_NOSIGNAL,
  pollAsync,
  POLLIN,
  read,
  send,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socket,
  unlessItWaits,
} from "../../ffi/linux.ts";
import { HostError, WrongStateError } from "../errors.ts";
import { hasAddress } from "../network/arrival.ts";
import { isAlive } from "../os/alive.ts";
import { isGone } from "../os/os_error.ts";
import { preload } from "../os/preload.ts";
import { readProcessStat } from "../os/process.ts";
import { explainShortage } from "../os/shortage.ts";
import { connectAt } from "../os/sockets.ts";
import { START_BYTE } from "../launch/steps/exec.ts";
import { runEveryHook } from "../hooks.ts";
import { timed } from "../watch.ts";
import { Stopwatch } from "./timeline.ts";
import { capabilityNumber } from "../config/capabilities.ts";
import { GIVES_UP, readIdentity } from "../host/identity.ts";
import { delay } from "../os/timer.ts";
import { forceDelete } from "./delete.ts";
import { killOpened, killProcess, openProcess } from "./kill.ts";
import { fileServerPid, monitorPid } from "./monitor_process.ts";
import { type Proof, type Proven, provenState, readProof, type Role } from "./proof.ts";
import { type ContainerState, ociState } from "./state.ts";
import { containerStatus } from "./pause.ts";
import { computeStatus } from "./status.ts";
import { requireState } from "./require.ts";
import { type ContainerDirectory, type Lock, START_SOCKET, type Store } from "./store.ts";

/**
 * How long the execution of the monitor may take. It takes 2 ms; a busy machine with a cold disk takes
 * seconds; and kubelet gives a start two minutes. Seconds.
 */
const EXEC_TIMEOUT = 30;

/** How often is tried to connect while others wait for init, in milliseconds. */
const CONNECT_INTERVAL = 20;

/** What start found out, for callers that wait for the monitor. */
export interface Started {
  state: ContainerState;
  /** Problems that do not undo a start: failed poststart hooks, by the specification, and others. */
  warnings: string[];
}

/**
 * Starts a created container: lets the waiter have the monitor executed, and proves its identity again.
 *
 * @param timeout seconds that the exec may take
 * @param stopwatch started when the command was
 * @throws NotFoundError, WrongStateError unless it is created, HostError when the exec failed, or took
 *   too long: then the container was killed
 */
export async function startContainer(
  store: Store,
  id: string,
  timeout = EXEC_TIMEOUT,
  stopwatch = new Stopwatch("start", id),
): Promise<Started> {
  const directory = store.open(id);
  using _lock = await lockCreated(directory);
  const state = requireCreated(directory);
  stopwatch.did("read");
  const late = warnOfNetwork(state);
  const started = await execAndProve(directory, state, { timeout, stopwatch });
  // A failed poststart hook is logged, and the container keeps running (runtime.md, lifecycle step 9).
  const warnings = await runEveryHook(started.hooks.poststart, ociState(started, "running"), {
    name: "poststart",
  });
  return { state: started, warnings: [...late, ...warnings] };
}

/**
 * Lets the monitor be executed, proves its identity, and writes the state. When that fails nothing of the
 * container runs, unless it was not executed yet: then it is created as before.
 */
async function execAndProve(
  directory: ContainerDirectory,
  state: ContainerState,
  { timeout, stopwatch }: { timeout: number; stopwatch: Stopwatch },
): Promise<ContainerState> {
  // Before anything is asked of it: what has no descriptor left can still end it.
  const pidfd = openProcess(state);
  try {
    // Proven at the barrier. Later the waiter may have other children: what a monitor leaves behind.
    const waiting = waitingMonitor(state);
    await timed(execTitle(state), () => letExec(directory, state, timeout), { id: state.id });
    stopwatch.did("exec");
    const started = await proveAfterExec(directory, state, waiting);
    stopwatch.did("prove identity");
    directory.writeState(withStart(started, stopwatch));
    return started;
  } catch (error) {
    if (pidfd !== undefined && isMonitor(state)) await killOpened(state, pidfd);
    throw explainShortage("start container", state.id, error);
  } finally {
    if (pidfd !== undefined) close(pidfd);
  }
}

/** Also when that cannot be determined: then it must not run on. */
function isMonitor(state: ContainerState): boolean {
  try {
    return computeStatus(state) !== "created";
  } catch {
    return true;
  }
}

/** The guest was planned without what has been attached since: by `ctr run --cni`, for one. */
function warnOfNetwork({ lacksNetwork, pid }: ContainerState): string[] {
  if (!lacksNetwork || pid === undefined || !hasAddress(pid)) return [];
  return [
    "the container's network was attached after it was created: the guest does without it. Hooks may " +
    "attach one, or the container may join a namespace that has one",
  ];
}

/** As the steps before it were logged by `create`. */
function execTitle({ timeline, monitor }: ContainerState): string {
  const barrier = timeline?.init.launch?.phases.length ?? 0;
  return `launch step ${barrier + 1} exec ${monitor}`;
}

function withStart(state: ContainerState, { course }: Stopwatch): ContainerState {
  const { timeline } = state;
  return timeline === undefined ? state : { ...state, timeline: { ...timeline, start: course } };
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

/**
 * Connects to the waiter, asks for the exec, and waits until it happened. The process that has the
 * container's uid may stop init, so none of it is waited for without an end.
 */
async function letExec(
  directory: ContainerDirectory,
  state: ContainerState,
  timeout: number,
): Promise<void> {
  const deadline = performance.now() + timeout * 1000;
  const fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
  try {
    if (!await connectBefore(deadline, fd, `${directory.path}/${START_SOCKET}`)) {
      throw await execTimeout(state, timeout);
    }
    send(fd, new Uint8Array([START_BYTE]), MSG_NOSIGNAL);
    preload("./proof.ts");
    preload("../hooks.ts");
    const left = Math.max(0, deadline - performance.now());
    const [events] = await pollAsync([{ fd, events: POLLIN }], left);
    // It would execute the monitor later, whose identity would not be verified then.
    if (events === 0) throw await execTimeout(state, timeout);
    const buffer = new Uint8Array(4096);
    const count = readAnswer(fd, buffer);
    // End of file: the socket is close-on-exec, so the exec happened (or init was killed, and the
    // container is stopped, as the next state shows).
    if (count === 0) return;
    throw new HostError({
      operation: "start container",
      subject: state.id,
      reason: count === undefined
        ? "its process was killed before it executed the monitor"
        : new TextDecoder().decode(buffer.subarray(0, count)),
    });
  } finally {
    close(fd);
  }
}

/** Returns false when init took none of those who wait until then. They are few. */
async function connectBefore(deadline: number, fd: number, path: string): Promise<boolean> {
  for (;;) {
    const isConnected = unlessItWaits(() => {
      connectAt(fd, path);
      return true;
    });
    if (isConnected) return true;
    if (performance.now() > deadline) return false;
    await delay(CONNECT_INTERVAL);
  }
}

/** Undefined when init ended without having read what it was asked. */
function readAnswer(fd: number, buffer: Uint8Array): number | undefined {
  try {
    return read(fd, buffer);
  } catch (error) {
    if (error instanceof LinuxError && error.code === "ECONNRESET") return undefined;
    throw error;
  }
}

/** The error about an init that does not execute the monitor, which is killed. */
async function execTimeout(state: ContainerState, timeout: number): Promise<HostError> {
  const letter = readProcessStat(state.pid!)?.state;
  await killProcess(state);
  return new HostError({
    operation: "start container",
    subject: state.id,
    reason: `process ${state.pid} did not execute the monitor within ${timeout} s ` +
      `(its state was ${letter ?? "not to be seen"}), and was killed`,
    remedy: "T: a process of its uid, or root, stopped it; D: a disk does not answer; " +
      "R: the machine is overloaded. Delete the container, and create it again",
  });
}

/**
 * Proves both processes again, now of the waiter and of the monitor itself. One that has exited already is
 * no error; seccomp filters may have grown, since monitors add their own.
 *
 * @throws HostError after the container was killed, when one is not what was planned
 */
async function proveAfterExec(
  directory: ContainerDirectory,
  state: ContainerState,
  waiting: Began | undefined,
): Promise<ContainerState> {
  const processes: [Role, Began | undefined][] = [
    ["waiter", beganOf(state.pid!)],
    // An earlier urunc's waiter starts its monitor only now, or there is no waiter.
    ["monitor", waiting ?? waitingMonitor(state)],
    ["files", waitingFileServer(state)],
  ];
  await fileServerWithoutCapability(state);
  const proofs = new Map<Role, Proof>();
  for (const [role, process] of processes) {
    const proof = process && await proveProcess(directory, state, { role, ...process });
    if (proof !== undefined) proofs.set(role, proof);
  }
  return { ...state, ...provenState(proofs), phase: "started" };
}

/** How long the file server may take from its exec to its first own act. Milliseconds. */
const FILE_SERVER_PATIENCE = 20_000;

/**
 * Waits until a file server that is root has given up the capability that it was executed with, which it does before
 * it accepts the monitor. One that does not is found by the proof.
 */
async function fileServerWithoutCapability(state: ContainerState): Promise<void> {
  if (state.fileServer === undefined || state.fileServer.capabilities.length === 0) return;
  const end = performance.now() + FILE_SERVER_PATIENCE;
  for (;;) {
    const pid = fileServerPid(state);
    if (pid === undefined || performance.now() > end) return;
    try {
      if ((readIdentity(pid).capPrm >> BigInt(capabilityNumber(GIVES_UP)!) & 1n) === 0n) return;
    } catch (error) {
      if (isGone(error)) return;
      throw error;
    }
    await delay(1);
  }
}

/** A process, and when it began: its number may be another's later. */
interface Began {
  pid: number;
  startTime: string | undefined;
}

/** The waiter's child; undefined when it has none (any more). */
function waitingMonitor(state: ContainerState): Began | undefined {
  const pid = monitorPid(state);
  return pid === undefined || pid === state.pid ? undefined : beganOf(pid);
}

/** Undefined without one, and when it has ended: then the waiter ends the container. */
function waitingFileServer(state: ContainerState): Began | undefined {
  const pid = fileServerPid(state);
  return pid === undefined ? undefined : beganOf(pid);
}

function beganOf(pid: number): Began {
  return { pid, startTime: readProcessStat(pid)?.startTime };
}

/** Undefined when the process has exited. */
async function proveProcess(
  directory: ContainerDirectory,
  state: ContainerState,
  { role, pid, startTime }: Began & { role: Role },
): Promise<Proof | undefined> {
  const proof = await readOrKill(directory, state, { role, pid, started: true });
  if (proof === undefined || proof.differences.length === 0) return proof;
  if (!isAlive(pid, startTime)) return undefined;
  await forceDelete(directory, state);
  throw new HostError({
    operation: "prove the monitor's identity",
    subject: state.id,
    reason: proof.differences.join("; "),
    remedy: "this is a defect of urunc: the container was killed",
  });
}

/**
 * Undefined when the process has exited. One that cannot be read for any other reason is killed: nothing
 * would be proven.
 */
async function readOrKill(
  directory: ContainerDirectory,
  state: ContainerState,
  process: Proven,
): Promise<Proof | undefined> {
  try {
    return readProof(state, process);
  } catch (error) {
    if (isGone(error)) return undefined;
    await forceDelete(directory, state);
    throw error;
  }
}
