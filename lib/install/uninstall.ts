import { exists } from "../os/files.ts";
import { removeInserted } from "./edits.ts";
import { bytesOf, fileOf, replaceFile, replaceLink } from "./files.ts";
import type { InstallOptions } from "./install.ts";
import { type Installed, isAsRecorded, readRecord, RECORD } from "./record.ts";

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
  for (const { backup } of record.files) if (backup !== undefined) remove(prefix + backup);
  remove(prefix + RECORD);
  for (const directory of record.directories.toReversed()) removeEmpty(prefix + directory);
  return removals;
}

async function takeBack(prefix: string, installed: Installed, dryRun: boolean): Promise<Removal> {
  const { target, backup, inserted } = installed;
  const path = prefix + installed.path;
  if (!exists(path)) return { path, change: "left", reason: "it is gone" };
  if (await isAsRecorded(prefix, installed)) {
    if (!dryRun) {
      restore(fileOf(path, inserted), backup === undefined ? undefined : prefix + backup);
    }
    return { path, change: backup === undefined ? "removed" : "restored" };
  }
  const text = target !== undefined || inserted === undefined
    ? undefined
    : removeInserted(new TextDecoder().decode(bytesOf(path)), inserted);
  if (text === undefined) {
    return {
      path,
      change: "left",
      reason: "it has been changed since: remove the runtime by hand",
    };
  }
  if (!dryRun) replaceFile(fileOf(path, inserted), new TextEncoder().encode(text), 0o644);
  return {
    path,
    change: "restored",
    reason: "it has been changed since: only the runtime was removed",
  };
}

/** @param kept the file as it was; undefined: there was none */
function restore(path: string, kept: string | undefined): void {
  if (kept === undefined) Deno.removeSync(path);
  else if (Deno.lstatSync(kept).isSymlink) replaceLink(path, Deno.readLinkSync(kept));
  else replaceFile(path, Deno.readFileSync(kept), Deno.statSync(kept).mode! & 0o7777);
}

function remove(path: string): void {
  if (exists(path)) Deno.removeSync(path);
}

/** A directory that others use stays: rmdir(2), ENOTEMPTY. */
function removeEmpty(path: string): void {
  try {
    if ([...Deno.readDirSync(path)].length === 0) Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
