import { cgroupProcesses } from "../cgroups/processes.ts";
import type { State as OciState } from "../oci/state.ts";
import { isAlive } from "../os/alive.ts";
import { type FileIdentity, isSameIdentity, readFileIdentity } from "../os/files.ts";
import { readName, readThreads } from "../os/process.ts";
import type { ContainerState } from "./state.ts";

/** The processes of this host; replaced in tests. */
export interface ProcessView {
  isAlive: typeof isAlive;
  executable(pid: number): FileIdentity | undefined;
  name(pid: number): string | undefined;
  /** Pids in cgroups. */
  inCgroup(directories: string[]): number[];
}

const LINUX: ProcessView = { isAlive, executable, name: readName, inCgroup: cgroupProcesses };

/** What the container's process is called until `start`: lib/build/waiter/waiter.c. */
const INIT_NAME = "urunc-init";

/** By the processes alone; whether they are frozen, `containerStatus` finds out. */
export type ProcessStatus = Exclude<OciState["status"], "paused">;

/** What the status depends on. */
export type StatusInput = Pick<
  ContainerState,
  | "phase"
  | "pid"
  | "pidStartTime"
  | "initExecutable"
  | "creatorPid"
  | "creatorStartTime"
  | "cgroupPaths"
>;

/**
 * A container's status, from the processes that live at this moment and never from what was
 * written when they were last seen.
 *
 * Created and running differ by the name of the container's process, which changes it when it has heard
 * `start`. So a `start` that is killed midway leaves no wrong answer. In containers of an older urunc the init that
 * they were created by waits for it.
 *
 * A container is running, too, while something is left in its cgroup: where others share its PID
 * namespace, a monitor can outlive the waiter.
 */
export function computeStatus(
  state: StatusInput,
  processes: ProcessView = LINUX,
): ProcessStatus {
  const { phase, pid, pidStartTime } = state;
  const isLiving = processes.isAlive(pid, pidStartTime);
  if (phase === "creating") {
    if (pid !== undefined && !isLiving) return "stopped";
    // Killed before it was done: it will not be finished.
    return processes.isAlive(state.creatorPid, state.creatorStartTime) ? "creating" : "stopped";
  }
  if (pid === undefined) return "stopped";
  if (!isLiving) return processes.inCgroup(state.cgroupPaths).length > 0 ? "running" : "stopped";
  const found = processes.executable(pid);
  // It is exiting: its memory is gone already.
  if (found === undefined) return phase === "started" ? "running" : "created";
  const waits = isSameIdentity(found, state.initExecutable) || processes.name(pid) === INIT_NAME;
  return waits ? "created" : "running";
}

/** Of any thread: one that has exited has no executable, and the first one may have. */
function executable(pid: number): FileIdentity | undefined {
  const own = readFileIdentity(`/proc/${pid}/exe`);
  if (own !== undefined) return own;
  for (const thread of readThreads(pid)) {
    const found = readFileIdentity(`/proc/${pid}/task/${thread}/exe`);
    if (found !== undefined) return found;
  }
  return undefined;
}
