import { type Decoder, Fields, integer, listOf, oneOf, Place, text } from "../decode/decode.ts";
import { InvalidConfigurationError } from "../errors.ts";
import { exists, readIfThere } from "../os/files.ts";
import { bytesOf, isLinkTo, replaceFile, sha256 } from "./files.ts";
import { BACKUPS, fileOf, MADE, WRITTEN } from "./places.ts";
import { locate } from "./tree.ts";

const VERSION = 1;

/** What `urunc install` has made, for `urunc uninstall`; below the prefix. */
export const RECORD = "/var/lib/urunc/install/record.json";

/** A file or link that was written. Paths are without the prefix. */
export interface Installed {
  path: string;
  /** A link's target; undefined: it is a file. */
  target?: string;
  /** SHA-256 of a file after it was written, in hexadecimal digits. */
  sha256?: string;
  /** The file as it was before; undefined: there was none. */
  backup?: string;
  /** What was inserted into a file that others may change afterwards. */
  inserted?: string;
}

/** All that was made, in the order of making. */
export interface InstallRecord {
  version: typeof VERSION;
  files: Installed[];
  /** Directories that were made. */
  directories: string[];
}

/**
 * What is recorded below a prefix, where others than root may have written it: a path in it is one that
 * `install` could have written.
 *
 * @param prefix empty, or a directory
 * @throws InvalidConfigurationError when it is damaged
 */
export function readRecord(prefix: string): InstallRecord {
  const file = locate(prefix, RECORD, "followed");
  const content = readIfThere(file);
  if (content === undefined) return { version: VERSION, files: [], directories: [] };
  const place = new Place({ error: (field, reason) => damaged(file, field, reason) });
  const record = Fields.ofJson(content, place);
  record.required("version", integer(VERSION, VERSION));
  return {
    version: VERSION,
    files: record.required("files", listOf(readInstalled)),
    directories: record.required("directories", listOf(oneOf(MADE))),
  };
}

function damaged(file: string, field: string, reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "read what was installed",
    subject: file,
    reason: field === "" ? reason : `${field}: ${reason}`,
    remedy: "remove the file; uninstall then leaves everything as it is",
  });
}

function readInstalled(value: unknown, at: Place): Installed {
  const fields = new Fields(value, at);
  const path = fields.required("path", oneOf(WRITTEN));
  const target = fields.optional("target", text);
  const sha256 = fields.optional("sha256", text);
  const backup = fields.optional("backup", backupOf(path));
  const inserted = fields.optional("inserted", text);
  return {
    path,
    ...(target === undefined ? {} : { target }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(backup === undefined ? {} : { backup }),
    ...(inserted === undefined ? {} : { inserted }),
  };
}

function backupOf(path: string): Decoder<string> {
  return (value, at) => {
    const backup = text(value, at);
    const name = backupName(path);
    const number = backup.startsWith(name) ? backup.slice(name.length) : undefined;
    if (number !== undefined && /^(\.\d+)?$/.test(number)) return backup;
    throw at.error(`it is not a backup of ${path}`);
  };
}

/** The first backup of a file, without the prefix; others have a number after it. */
function backupName(path: string): string {
  return `${BACKUPS}/${encodeURIComponent(path.slice(1))}`;
}

/** A name for a backup, without the prefix. An earlier one is kept until the record names another. */
export function freeBackup(prefix: string, path: string): string {
  const first = backupName(path);
  let backup = first;
  for (let number = 1; exists(locate(prefix, backup)); number++) backup = `${first}.${number}`;
  return backup;
}

/** Writes the record, whole or not at all. */
export function writeRecord(prefix: string, record: InstallRecord): void {
  const content = JSON.stringify(record, null, 2) + "\n";
  replaceFile(locate(prefix, RECORD), new TextEncoder().encode(content), 0o600);
}

/** Whether a file or link is as it was written. */
export async function isAsRecorded(prefix: string, installed: Installed): Promise<boolean> {
  const file = fileOf(prefix, installed.path);
  if (installed.target !== undefined) return isLinkTo(file, installed.target);
  const bytes = bytesOf(locate(prefix, installed.path, "followed"));
  return bytes !== undefined && await sha256(bytes) === installed.sha256;
}
