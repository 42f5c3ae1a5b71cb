import { UnsupportedError, WrongStateError } from "../errors.ts";
import type { Configuration } from "../config/types.ts";
import type { Stdio } from "../launch/stdio.ts";
import type { Process } from "../oci/types.ts";
import type { TerminalReceiver } from "../plan/types.ts";
import { containerStatus } from "./pause.ts";
import { requireState } from "./require.ts";
import type { ContainerState } from "./state.ts";
import { type ContainerDirectory, type Store } from "./store.ts";

/** A further process that a container is to run. */
export interface ExecRequest {
  store: Store;
  /** The container's. */
  id: string;
  /** As a caller of `exec` describes it: `parseProcess` of lib/oci/parse.ts. */
  process: Process;
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
 *   {@linkcode ExecFailedError} when the program cannot be executed; HostError when the agent does not answer,
 *   or 16 processes are running. Nothing is left then, and the relay has been waited for.
 */
export async function execInContainer(request: ExecRequest): Promise<ExecStarted> {
  const directory = request.store.open(request.id);
  const state = requireState(directory);
  requireRunning(state);
  requireAgent(state);
  await request.configuration();
  return startRelay(directory);
}

function startRelay({ id }: ContainerDirectory): ExecStarted {
  throw noAgent(id, "its agent cannot run further processes");
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

function requireAgent({ id, stop }: ContainerState): void {
  if (stop?.agent) return;
  throw noAgent(id, "its guest has no agent, and so no processes that another could join");
}

function noAgent(id: string, reason: string): UnsupportedError {
  return new UnsupportedError({
    operation: "exec in container",
    subject: id,
    reason,
    remedy: "use the guest's console, or a service that the guest offers on its network",
  });
}
