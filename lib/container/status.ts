import { type ProcessStat, readProcessStat } from "../os/process.ts";
import type { State as OciState } from "../oci/state.ts";
import type { ContainerState } from "./state.ts";
import { type FileIdentity, readFileIdentity } from "../os/files.ts";

/** The processes of this host; replaced in tests. */
export interface ProcessView {
  stat(pid: number): ProcessStat | undefined;
  executable(pid: number): FileIdentity | undefined;
}

const LINUX: ProcessView = {
  stat: readProcessStat,
  executable: (pid) => readFileIdentity(`/proc/${pid}/exe`),
};

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
>;

/**
 * A container's status, from the processes that live at this moment and never from what was
 * written when they were last seen.
 *
 * Created and running differ by what the process executes: init until `start`, then the monitor.
 * So a `start` that is killed midway leaves no wrong answer.
 */
export function computeStatus(
  state: StatusInput,
  processes: ProcessView = LINUX,
): ProcessStatus {
  const { phase, pid, pidStartTime } = state;
  if (pid !== undefined && !isAlive(pid, pidStartTime, processes)) return "stopped";
  if (phase === "creating") {
    // Killed before it was done: it will not be finished.
    return isAlive(state.creatorPid, state.creatorStartTime, processes) ? "creating" : "stopped";
  }
  if (pid === undefined) return "stopped";
  const executable = processes.executable(pid);
  if (executable === undefined) return "stopped"; // It ended since the line above.
  const isInit = executable.dev === state.initExecutable?.dev &&
    executable.ino === state.initExecutable.ino;
  return isInit ? "created" : "running";
}

/**
 * Is this very process alive? A zombie is not, and neither is a later one with the same number.
 *
 * @param startTime field 22 of /proc/PID/stat when the process was recorded
 */
export function isAlive(
  pid: number | undefined,
  startTime: string | undefined,
  processes: Pick<ProcessView, "stat"> = LINUX,
): boolean {
  if (pid === undefined) return false;
  const stat = processes.stat(pid);
  return stat !== undefined && stat.startTime === startTime &&
    stat.state !== "Z" && stat.state !== "X";
}
