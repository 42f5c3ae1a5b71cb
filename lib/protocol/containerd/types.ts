import { embedded, message, repeated, string, uint32 } from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";
import { Any } from "../protobuf/well_known.ts";

/**
 * What several services of containerd have in common.
 *
 * @see containerd, `api/types/`
 * @module
 */

export const Mount = message("containerd.types.Mount", () => ({
  type: string(1),
  source: string(2),
  target: string(3),
  options: repeated(string(4)),
}));

/** Of a task. A newer side may know more numbers. */
export const Status = {
  unknown: 0,
  created: 1,
  running: 2,
  stopped: 3,
  paused: 4,
  pausing: 5,
} as const;

export const ProcessInfo = message("containerd.v1.types.ProcessInfo", () => ({
  pid: uint32(1),
  /** {@linkcode ProcessDetails}, as containerd's own shim has it. */
  info: embedded(2, Any),
}));
export type ProcessInfo = MessageOf<typeof ProcessInfo>;

/** @see containerd, `api/types/runc/options/oci.proto` */
export const ProcessDetails = message("containerd.runc.v1.ProcessDetails", () => ({
  execId: string(1),
}));
