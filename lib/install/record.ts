import { errorMessage, InvalidConfigurationError } from "../errors.ts";
import { readIfThere } from "../os/files.ts";
import { bytesOf, isLinkTo, sha256 } from "./files.ts";

/** What `urunc install` has made, for `urunc uninstall`; below the prefix. */
export const RECORD = "/var/lib/urunc/install/record.json";

/** Where the files are kept as they were before. */
export const BACKUPS = "/var/lib/urunc/install";

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
  version: 1;
  files: Installed[];
  /** Directories that were made. */
  directories: string[];
}

/**
 * @param prefix empty, or a directory
 * @throws InvalidConfigurationError when it is damaged
 */
export function readRecord(prefix: string): InstallRecord {
  const text = readIfThere(prefix + RECORD);
  if (text === undefined) return { version: 1, files: [], directories: [] };
  try {
    const record: InstallRecord = JSON.parse(text);
    if (record.version === 1) return record;
    throw new Error(`version ${record.version} is not known`);
  } catch (error) {
    throw new InvalidConfigurationError({
      operation: "read what was installed",
      subject: prefix + RECORD,
      reason: errorMessage(error),
      remedy: "remove the file; uninstall then leaves everything as it is",
      cause: error,
    });
  }
}

/** Whether a file or link is as it was written. */
export async function isAsRecorded(prefix: string, installed: Installed): Promise<boolean> {
  const path = prefix + installed.path;
  if (installed.target !== undefined) return isLinkTo(path, installed.target);
  const bytes = bytesOf(path);
  return bytes !== undefined && await sha256(bytes) === installed.sha256;
}
