import { cgroupProcesses } from "../../cgroups/processes.ts";
import { requireState } from "../../container/require.ts";
import { formatError } from "../../errors.ts";
import { readProcessStat } from "../../os/process.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { print } from "../../output.ts";
import { formatTable } from "../table.ts";
import { readIfThere } from "../../os/files.ts";

/** `urunc ps`: the monitor and what it started, as the host numbers them. A guest's are its own. */
export function ps(command: CommandOf<"ps">, context: Context): number {
  const state = requireState(context.store.open(command.id));
  const pids = cgroupProcesses(state.cgroupPaths).sort((a, b) => a - b);
  print(
    // A list of numbers, which containerd's shim for runc parses.
    command.format === "json" ? `${JSON.stringify(pids)}\n` : formatTable(HEADER, toRows(pids)),
  );
  return 0;
}

const HEADER = ["UID", "PID", "PPID", "STATE", "CMD"];

/** Processes that ended since they were listed are left out. */
function toRows(pids: number[]): string[][] {
  return pids.flatMap((pid) => {
    const stat = readProcessStat(pid);
    const uid = readIfThere(`/proc/${pid}/status`, "ESRCH")?.match(/^Uid:\s+(\d+)/m)?.[1];
    const commandLine = readIfThere(`/proc/${pid}/cmdline`, "ESRCH");
    if (stat === undefined || uid === undefined || commandLine === undefined) return [];
    const words = commandLine.replace(/\0$/, "").split("\0").join(" ");
    return [[uid, String(pid), String(stat.parentPid), stat.state, formatError(words)]];
  });
}
