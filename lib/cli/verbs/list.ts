import { observeContainer } from "../../container/observe.ts";
import type { ContainerDirectory, Store } from "../../container/store.ts";
import { formatError, NotFoundError } from "../../errors.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { print } from "../../output.ts";
import { formatJson } from "../../printable.ts";
import { formatTable } from "../table.ts";

/** A row of `urunc list`; the field names are runc's, which tools parse. */
interface Row {
  ociVersion: string;
  id: string;
  pid: number;
  status: string;
  bundle: string;
  rootfs: string;
  created: string;
  owner: string;
}

/** `urunc list` */
export function list(command: CommandOf<"list">, context: Context): number {
  const rows = readRows(context.store, context);
  if (command.quiet) print(rows.map((row) => `${row.id}\n`).join(""));
  else if (command.format === "json") print(`${formatJson(rows)}\n`);
  else print(formatTable(HEADER, rows.map(toCells)));
  return 0;
}

function readRows(store: Store, context: Context): Row[] {
  const rows: Row[] = [];
  for (const id of store.list()) {
    try {
      const row = toRow(store.open(id));
      if (row !== undefined) rows.push(row);
    } catch (error) {
      // Deleted since the directory was read.
      if (error instanceof NotFoundError) continue;
      // One damaged state must not hide all other containers.
      context.log.warning(formatError(error));
    }
  }
  return rows;
}

/** Undefined for what is not a container yet, or no longer. */
function toRow(directory: ContainerDirectory): Row | undefined {
  const observation = observeContainer(directory);
  if (observation === undefined) {
    if (directory.isPassing()) return undefined;
    const { id } = directory;
    const unknown = { ociVersion: "", bundle: "", rootfs: "", created: "", owner: "" };
    return { ...unknown, id, pid: 0, status: "stopped" };
  }
  const { state, status } = observation;
  return {
    ociVersion: state.ociVersion,
    id: state.id,
    pid: status === "stopped" ? 0 : state.pid ?? 0,
    status,
    bundle: state.bundle,
    rootfs: state.rootfs ?? "",
    created: state.created,
    // A name, as runc has it. Without a rootless mode other users have none.
    owner: state.owner === 0 ? "root" : String(state.owner),
  };
}

const HEADER = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"];

function toCells(row: Row): string[] {
  return [row.id, String(row.pid), row.status, row.bundle, row.created, row.owner];
}
