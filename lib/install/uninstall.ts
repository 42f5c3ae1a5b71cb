import { exists, removeIfThere } from "../os/files.ts";
import { removeInserted } from "./edits.ts";
import { bytesOf, replaceFile, replaceLink } from "./files.ts";
import type { InstallOptions } from "./install.ts";
import { fileOf } from "./places.ts";
import { type Installed, isAsRecorded, readRecord, RECORD } from "./record.ts";
import { locate } from "./tree.ts";

/** What was left as it is, and why; or removed, or made as it was. */
export interface Removal {
  path: string;
  change: "removed" | "restored" | "left";
  reason?: string;
}

/**
 * Takes back what `install` did. A file that others have changed since keeps their changes.
 */
export async function uninstall(
  { prefix, dryRun }: Pick<InstallOptions, "prefix" | "dryRun">,
): Promise<Removal[]> {
  const record = readRecord(prefix);
  const removals: Removal[] = [];
  for (const installed of record.files.toReversed()) {
    removals.push(await takeBack(prefix, installed, dryRun));
  }
  if (dryRun) return removals;
  removeIfThere(locate(prefix, RECORD));
  for (const directory of record.directories.toReversed()) {
    removeEmpty(locate(prefix, directory, "followed"));
  }
  return removals;
}

async function takeBack(prefix: string, installed: Installed, dryRun: boolean): Promise<Removal> {
  const path = prefix + installed.path;
  const file = fileOf(prefix, installed.path);
  const kept = installed.backup === undefined ? undefined : locate(prefix, installed.backup);
  const undo = await undoOf(prefix, installed, file);
  if ("left" in undo) {
    const where = kept === undefined ? "" : `; as it was before, it is in ${kept}`;
    return { path, change: "left", reason: undo.left + where };
  }
  if (!dryRun) {
    if (undo.text === undefined) restore(file, kept);
    else replaceFile(file, new TextEncoder().encode(undo.text), 0o644);
    if (kept !== undefined) removeIfThere(kept);
  }
  if (undo.text === undefined) return { path, change: kept === undefined ? "removed" : "restored" };
  const reason = "it has been changed since: only the runtime was removed";
  return { path, change: "restored", reason };
}

/** Why a file is left, or the text that it is to have; neither: it is to be as it was. */
type Undo = { left: string } | { text?: string };

async function undoOf(prefix: string, installed: Installed, file: string): Promise<Undo> {
  const { target, inserted } = installed;
  if (!exists(file)) return { left: "it is gone" };
  if (await isAsRecorded(prefix, installed)) return {};
  const text = target !== undefined || inserted === undefined
    ? undefined
    : removeInserted(new TextDecoder().decode(bytesOf(file)), inserted);
  if (text !== undefined) return { text };
  return { left: "it has been changed since: remove the runtime by hand" };
}

/** @param kept the file as it was; undefined: there was none */
function restore(path: string, kept: string | undefined): void {
  if (kept === undefined) Deno.removeSync(path);
  else if (Deno.lstatSync(kept).isSymlink) replaceLink(path, Deno.readLinkSync(kept));
  else replaceFile(path, Deno.readFileSync(kept), Deno.statSync(kept).mode! & 0o7777);
}

/** A directory that others use stays: rmdir(2), ENOTEMPTY. */
function removeEmpty(path: string): void {
  try {
    if ([...Deno.readDirSync(path)].length === 0) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
