import {
  boolean,
  type Decoder,
  describe,
  Fields,
  nonEmptyText,
  oneOf,
  Place,
} from "../../decode/decode.ts";
import { UruncError } from "../../errors.ts";
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

/**
 * @returns undefined when nothing of a task is left
 * @throws UruncError when the file was damaged
 */
export function readRecord(bundle: string): TaskRecord | undefined {
  const path = `${bundle}/${RECORD_FILE}`;
  const text = readIfThere(path);
  return text === undefined ? undefined : parseRecord(text, path);
}

/** @param path where the text comes from, for the error */
export function parseRecord(text: string, path: string): TaskRecord {
  const place = new Place({
    error: (field, reason) =>
      new UruncError({
        operation: "read the shim's record",
        subject: path,
        reason: field === "" ? reason : `${field}: ${reason}`,
      }),
  });
  const record = Fields.ofJson(text, place);
  const version = record.required("version", ours);
  const kind = record.required("kind", oneOf(["unikernel", "delegated"] as const));
  return {
    version,
    kind,
    root: record.required("root", nonEmptyText),
    runtime: kind === "delegated"
      ? record.required("runtime", nonEmptyText)
      : record.optional("runtime", nonEmptyText),
    systemdCgroup: record.optional("systemdCgroup", boolean),
  };
}

/** An older urunc wrote no other. */
const ours: Decoder<1> = (value, at) => {
  if (value !== 1) throw at.invalid(describe(value), "1");
  return value;
};

/**
 * Nothing of a task is left: `delete` has nothing to do but to remove the shim's socket, should the shim
 * be killed before it does. The executable's entry stub answers it (`lib/build/stub/shim.c`).
 */
export function removeRecord(bundle: string): void {
  removeIfThere(`${bundle}/${RECORD_FILE}`);
}
