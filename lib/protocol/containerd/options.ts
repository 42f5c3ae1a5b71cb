import { bool, bytes, message, string } from "../protobuf/schema.ts";

/**
 * Options of a runtime, in a task's CreateTaskRequest.options.
 *
 * @see containerd, `api/types/runc/options/oci.proto` and `api/types/runtimeoptions/v1/api.proto`
 * @module
 */

/** What `ctr --runc-binary`, and `options` of a runtime in the configurations of containerd and docker, say. */
export const RuncOptions = message("containerd.runc.v1.Options", () => ({
  noPivotRoot: bool(1),
  noNewKeyring: bool(2),
  shimCgroup: string(3),
  binaryName: string(6),
  root: string(7),
  systemdCgroup: bool(9),
}));

/** What containerd sends for a runtime whose options it does not know: TOML as it stands in its configuration. */
export const RuntimeOptions = message("runtimeoptions.v1.Options", () => ({
  configPath: string(2),
  configBody: bytes(3),
}));
