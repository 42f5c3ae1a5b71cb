import { readIfThere, removeIfThere } from "../../os/files.ts";
/** What `delete`, which may be called after this process was killed, must know of a task. */
export interface TaskRecord {
  version: 1;
  /** Who keeps the container's state: this program, or an OCI runtime. */
  kind: "unikernel" | "delegated";
  /** The runtime's state directory, namespace included. */
  root: string;
  /** Of an OCI runtime. */
  runtime?: string;
  systemdCgroup?: boolean;
}

/** In the bundle, from before anything of a task is made until all of it is gone. */
const RECORD_FILE = "urunc.task";

/** In the bundle: where its shim listens. containerd reads it when it is started again. */
export const ADDRESS_FILE = "address";

/** Throws when the bundle cannot be written. */
export function writeRecord(bundle: string, record: TaskRecord): void {
  const path = `${bundle}/${RECORD_FILE}`;
  Deno.writeTextFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  Deno.renameSync(`${path}.new`, path);
}

/** Undefined when nothing of a task is left. */
export function readRecord(bundle: string): TaskRecord | undefined {
  const text = readIfThere(`${bundle}/${RECORD_FILE}`);
  return text === undefined ? undefined : JSON.parse(text);
}

/**
 * Nothing of a task is left. Without an address in the bundle `delete` has nothing to do, and the
 * executable's entry stub answers it (`lib/build/stub/stub.c`).
 */
export function removeRecord(bundle: string): void {
  removeIfThere(`${bundle}/${RECORD_FILE}`);
  removeIfThere(`${bundle}/${ADDRESS_FILE}`);
}
