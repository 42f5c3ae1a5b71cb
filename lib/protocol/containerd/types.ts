import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Any } from "../protobuf/well_known.ts";

/**
 * What several services of containerd have in common.
 *
 * @see containerd, `api/types/`
 * @module
 */

export interface Mount {
  type: string;
  source: string;
  target: string;
  options: string[];
}
export const Mount: MessageType<Mount> = message("containerd.types.Mount", () => ({
  type: field.string(1),
  source: field.string(2),
  target: field.string(3),
  options: field.repeated(field.string(4)),
}));
export const { encode: encodeMount, decode: decodeMount } = Mount;

/** Of a task. */
export const Status = {
  unknown: 0,
  created: 1,
  running: 2,
  stopped: 3,
  paused: 4,
  pausing: 5,
} as const;
/** One of those, or another number: a newer side may know more. */
export type Status = number;

export interface ProcessInfo {
  pid: number;
  info?: Any;
}
export const ProcessInfo: MessageType<ProcessInfo> = message(
  "containerd.v1.types.ProcessInfo",
  () => ({
    pid: field.uint32(1),
    info: field.message(2, Any),
  }),
);
export const { encode: encodeProcessInfo, decode: decodeProcessInfo } = ProcessInfo;
