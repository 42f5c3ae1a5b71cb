import { cgroupProcesses } from "../../cgroups/processes.ts";
import { requireState } from "../../container/require.ts";
import type { GuestProcess } from "../../container/guest_processes.ts";
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
  print(`Processes in the guest, as the guest reports them:\n${formatGuestProcesses(processes)}`);
  return 0;
}

/** A guest may list as many processes as fit in what is read of it, with commands as long. */
const MOST_ROWS = 10_000;
/** Of a command, in characters as they are printed. */
const LONGEST_COMMAND = 4000;

/** The table of a guest's processes; how many are left out is said below it. */
export function formatGuestProcesses(processes: GuestProcess[]): string {
  const rows = processes.slice(0, MOST_ROWS).map(({ uid, pid, parentPid, state, command }) => [
    ...[uid, pid, parentPid].map(String),
    state,
    formatCommand(command),
  ]);
  const more = processes.length - rows.length;
  return formatTable(HEADER, rows) + (more > 0 ? `and ${more} more: --format json has all\n` : "");
}

function formatCommand(command: string): string {
  const text = formatError(command.slice(0, LONGEST_COMMAND));
  const isWhole = command.length <= LONGEST_COMMAND && text.length <= LONGEST_COMMAND;
  return isWhole ? text : `${text.slice(0, LONGEST_COMMAND)}…`;
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
