import {
  AF_UNIX,
  close,
  kill,
  MSG_NOSIGNAL,
  openPrivatePty,
  pollAsync,
  POLLIN,
  rawModes,
  read,
  sendDescriptor,
  setTerminalSize,
  SIGKILL,
  SOCK_STREAM,
  socket,
  socketpair,
  spawn,
  tcgetattr,
  tcsetattr,
  waitpidAsync,
} from "../../ffi/linux.ts";
import type { Configuration } from "../config/types.ts";
import {
  HostError,
  InvalidConfigurationError,
  UnsupportedError,
  WrongStateError,
} from "../errors.ts";
import {
  compareIdentity,
  type ExpectedIdentity,
  ownSeccompFilters,
  readIdentity,
} from "../host/identity.ts";
import { makePrograms, PROGRAM } from "../launch/programs.ts";
import { sealedFile } from "../launch/sealed_file.ts";
import { refuseDirectory, type Stdio } from "../launch/stdio.ts";
import { MASTER_NAME } from "../launch/steps/terminal.ts";
import type { Process } from "../oci/types.ts";
import { readProcessStat } from "../os/process.ts";
import { connectAt } from "../os/sockets.ts";
import { describeProcess, RELAY_FDS, relayArguments, REQUEST_BYTES } from "../plan/relay.ts";
import { planRelayFilter } from "../plan/seccomp.ts";
import type { TerminalReceiver } from "../plan/types.ts";
import { programOf } from "../seccomp/filter.ts";
import type { CallFilter } from "../seccomp/types.ts";
import { debug } from "../watch.ts";
import { isOnSerialLine } from "./console.ts";
import { execFailure, LONGEST_REPORT, STARTED } from "./exec_failure.ts";
import { takeExecPort } from "./exec_port.ts";
import { containerStatus } from "./pause.ts";
import { requireState } from "./require.ts";
import type { ContainerState } from "./state.ts";
import type { ContainerDirectory, Store } from "./store.ts";

/** A further process that a container is to run. */
export interface ExecRequest {
  store: Store;
  /** The container's. */
  id: string;
  /** As a caller of `exec` describes it: `parseProcess` of lib/oci/parse.ts. */
  process: Process;
  /** What the agent gets in the place of its description. */
  description?: Uint8Array<ArrayBuffer>;
  /** Is called once the container is found to be able to. */
  configuration(): Promise<Configuration>;
  /**
   * Who receives the master of the process's terminal; given exactly when `process.terminal` is set.
   * `creator`: it is returned.
   */
  terminal?: TerminalReceiver;
  /**
   * The process's standard input, output and error, without a terminal; by default the caller's. They stay
   * open here, and are not changed.
   */
  stdio?: Stdio;
  /** By default this process has nothing else to wait for, and nobody signals the relay before it is known. */
  follower?: RelayFollower;
}

/** What looks after a relay from when it was made, in a process that has other children, too. */
export interface RelayFollower {
  /** It is a child of this process now. An error ends the start: then the follower has killed the relay. */
  made(pid: number): void;
  /** Returns when a descriptor has input, or has ended. That may take as long as the guest is given: minutes. */
  readable(fd: number): Promise<void>;
  /** Returns when a relay whose process was not started has exited, and was waited for. */
  exited(pid: number): Promise<void>;
}

/** A process that runs in a container's guest. */
export interface ExecStarted {
  /**
   * A child of this process: the relay (lib/build/waiter), which stands for the process in the guest. Its
   * exit code is that process's, or 128 and the number of the signal that ended it. Signals that it gets are
   * sent to that process; SIGKILL ends both. It exits when the process has, and all output was written. The
   * caller waits for it, unless it exits itself.
   */
  pid: number;
  /**
   * The master of the process's terminal, which the caller closes, only with a `creator`. A new size that it
   * is given is passed on.
   */
  terminal?: number;
}

/**
 * Runs a process in a container's guest, by its agent. Returns when the guest has executed the program.
 *
 * @throws NotFoundError; WrongStateError unless it is running; UnsupportedError when its guest has no agent;
 *   ExecFailedError when the program cannot be executed; HostError when the agent does not answer,
 *   or 16 processes are running. Nothing is left then, and the relay has been waited for.
 */
export async function execInContainer(request: ExecRequest): Promise<ExecStarted> {
  const { store, id, process, terminal: receiver, follower = ALONE } = request;
  const directory = store.open(id);
  const state = requireState(directory);
  requireRunning(state);
  requireAgent(state, directory);
  const description = request.description ?? describeProcess(process);
  requireSize(description, id);
  const filter = planRelayFilter(await request.configuration());
  const identity = identityOf(state, filter);
  using fds = new Descriptors();
  const port = await takeExecPort(directory, state);
  fds.add(port.socket, port.lock);
  const terminal = receiver === undefined ? undefined : openTerminal(process);
  if (terminal !== undefined) fds.add(terminal.master, terminal.slave);
  const [start, theirStart] = socketpair(SOCK_STREAM);
  fds.add(start, theirStart, sealedFile("urunc-exec", description));
  const { slave } = terminal ?? {};
  const stdio = slave === undefined ? request.stdio ?? [0, 1, 2] : [slave, slave, slave];
  // Before anything is written to it.
  if (terminal !== undefined && receiver?.kind === "socket") {
    sendMaster(receiver.path, terminal.master);
  }
  const pid = startRelay(identity, {
    ...port,
    request: fds.last,
    start: theirStart,
    stdio: stdio as unknown as Stdio,
    terminal: terminal !== undefined,
    filter: filter && fds.added(sealedFile("urunc-filter", programOf(filter))),
  });
  follower.made(pid);
  fds.close(theirStart);
  debug("exec: started the relay", { id, pid });
  await requireStarted(pid, start, request, follower);
  await requireIdentity(pid, identity, id, follower);
  if (receiver?.kind !== "creator") return { pid };
  return { pid, terminal: fds.keep(terminal!.master) };
}

/** Descriptors that are closed in the end, but for those that are kept. */
class Descriptors implements Disposable {
  readonly #open: number[] = [];

  add(...fds: number[]): void {
    this.#open.push(...fds);
  }

  added(fd: number): number {
    this.add(fd);
    return fd;
  }

  get last(): number {
    return this.#open.at(-1)!;
  }

  close(fd: number): void {
    close(this.keep(fd));
  }

  keep(fd: number): number {
    this.#open.splice(this.#open.indexOf(fd), 1);
    return fd;
  }

  [Symbol.dispose](): void {
    this.#open.forEach(close);
  }
}

/** The guest's does what a terminal does; this one passes on. */
function openTerminal({ consoleSize }: Process): { master: number; slave: number } {
  const terminal = openPrivatePty();
  tcsetattr(terminal.slave, rawModes(tcgetattr(terminal.slave)!, true));
  if (consoleSize !== undefined) {
    setTerminalSize(terminal.slave, { rows: consoleSize.height, columns: consoleSize.width });
  }
  return terminal;
}

function sendMaster(path: string, master: number): void {
  const fd = socket(AF_UNIX, SOCK_STREAM, 0);
  try {
    connectAt(fd, path);
    sendDescriptor(fd, MASTER_NAME, master, MSG_NOSIGNAL);
  } finally {
    close(fd);
  }
}

/** What a relay is started with. */
interface RelayFiles {
  socket: number;
  lock: number;
  request: number;
  start: number;
  filter: number | undefined;
  stdio: Stdio;
  terminal: boolean;
  handed: boolean;
}

/** It becomes the container's user itself: posix_spawn(3) cannot. Returns its pid. */
function startRelay(identity: ExpectedIdentity, files: RelayFiles): number {
  const { stdio, terminal, filter, handed } = files;
  stdio.forEach((fd, index) => refuseDirectory(fd, index));
  const programs = makePrograms();
  try {
    return spawn({
      path: PROGRAM,
      cwd: `/proc/self/fd/${programs}`,
      argv: relayArguments({ identity, terminal, filtered: filter !== undefined, handed }),
      env: [],
      setsid: true,
      fds: [
        ...stdio.map((from, to) => ({ from, to })),
        ...(["socket", "request", "start", "lock"] as const).map((name) => ({
          from: files[name],
          to: RELAY_FDS[name],
        })),
        ...(filter === undefined ? [] : [{ from: filter, to: RELAY_FDS.filter }]),
      ],
    });
  } finally {
    close(programs);
  }
}

/** Returns when the guest has executed the program. */
async function requireStarted(
  pid: number,
  start: number,
  request: ExecRequest,
  follower: RelayFollower,
): Promise<void> {
  await follower.readable(start).catch((error) => endRelay(pid, follower, error));
  const bytes = new Uint8Array(LONGEST_REPORT);
  const report = new TextDecoder().decode(bytes.subarray(0, read(start, bytes)));
  if (report === STARTED) return;
  await follower.exited(pid);
  throw execFailure(report, request.id, request.process);
}

const ALONE: RelayFollower = {
  made() {},
  readable: async (fd) => void await pollAsync([{ fd, events: POLLIN }], -1),
  exited: async (pid) => void await waitpidAsync(pid),
};

/** Throws the error, when nothing is left of the relay. */
async function endRelay(pid: number, follower: RelayFollower, error: unknown): Promise<never> {
  kill(pid, SIGKILL);
  await follower.exited(pid);
  throw error;
}

/** Of the monitor, which has read what the guest says, too; without what only monitors may keep. */
function identityOf(
  { id, expectedIdentity }: ContainerState,
  filter: CallFilter | undefined,
): ExpectedIdentity {
  if (expectedIdentity === undefined) throw noAgent(id, "its user is not known");
  const { uid, gid, groups } = expectedIdentity;
  const filters = filter === undefined ? {} : { seccompFilters: ownSeccompFilters() + 1 };
  return { uid, gid, groups, capabilities: [], noNewPrivileges: true, ...filters };
}

/** @throws HostError when the relay is not who it is planned to be; it is killed then */
async function requireIdentity(
  pid: number,
  identity: ExpectedIdentity,
  id: string,
  follower: RelayFollower,
): Promise<void> {
  const differences = differencesOf(pid, identity);
  if (differences.length === 0) return;
  const error = new HostError({
    operation: "exec in container",
    subject: id,
    reason: `the relay has not the identity that was planned: ${differences.join("; ")}`,
    remedy: "this is a defect of urunc",
  });
  await endRelay(pid, follower, error);
}

/** One that has exited since is not anybody. */
function differencesOf(pid: number, identity: ExpectedIdentity): string[] {
  const state = readProcessStat(pid)?.state;
  if (state === undefined || state === "Z" || state === "X") return [];
  return compareIdentity(readIdentity(pid), identity);
}

/** @throws InvalidConfigurationError */
function requireSize(description: Uint8Array, id: string): void {
  if (description.length <= REQUEST_BYTES) return;
  throw new InvalidConfigurationError({
    operation: "exec in container",
    subject: id,
    reason: `arguments and environment take ${description.length} bytes`,
    remedy: `at most ${REQUEST_BYTES} can be given to a guest`,
  });
}

/** As runc words it. */
function requireRunning(state: ContainerState): void {
  const status = containerStatus(state);
  if (status === "running") return;
  const reasons: Record<string, string> = {
    paused: "cannot exec in a paused container",
    stopped: "cannot exec in a stopped container",
  };
  throw new WrongStateError({
    operation: "exec in container",
    subject: state.id,
    reason: reasons[status] ?? `container not running: it is ${status}`,
  });
}

function requireAgent({ id, stop }: ContainerState, directory: ContainerDirectory): void {
  if (!stop?.agent) {
    throw noAgent(id, "its guest has no agent, and so no processes that another could join");
  }
  if (!isOnSerialLine(directory)) return;
  throw noAgent(
    id,
    "its guest's kernel has no driver of the device by which its agent is reached: " +
      "virtio-serial, or vsock on firecracker",
  );
}

function noAgent(id: string, reason: string): UnsupportedError {
  return new UnsupportedError({
    operation: "exec in container",
    subject: id,
    reason,
    remedy: "use the guest's console, or a service that the guest offers on its network",
  });
}
