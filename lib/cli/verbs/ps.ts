import { cgroupProcesses } from "../../cgroups/processes.ts";
import { requireState } from "../../container/require.ts";
import { formatError } from "../../errors.ts";
import { readProcessStat } from "../../os/process.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { print, printJson } from "../../output.ts";
import { formatTable } from "../table.ts";
import { readIfThere } from "../../os/files.ts";

/** `urunc ps`: the monitor and what it started, as the host numbers them; or the guest's own. */
export async function ps(command: CommandOf<"ps">, context: Context): Promise<number> {
  if (command.guest) return await listGuest(command, context);
  const state = requireState(context.store.open(command.id));
  const pids = cgroupProcesses(state.cgroupPaths).sort((a, b) => a - b);
  print(
    // A list of numbers, which containerd's shim for runc parses.
    command.format === "json" ? `${JSON.stringify(pids)}\n` : formatTable(HEADER, toRows(pids)),
  );
  return 0;
}

/** Says of whom these are the words: a guest may claim anything, and its numbers are not the host's. */
async function listGuest(
  { id, format }: CommandOf<"ps">,
  { store, configuration }: Context,
): Promise<number> {
  const { guestProcesses } = await import("../../container/guest_processes.ts");
  const processes = await guestProcesses({ store, id, configuration });
  if (format === "json") {
    printJson({ reportedByGuest: processes });
    return 0;
  }
  const rows = processes.map(({ uid, pid, parentPid, state, command }) => [
    ...[uid, pid, parentPid].map(String),
    state,
    formatError(command),
  ]);
  print(`Processes in the guest, as the guest reports them:\n${formatTable(HEADER, rows)}`);
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
