import { field, message, type MessageType } from "../protobuf/schema.ts";

/**
 * Options of a runtime, in a task's CreateTaskRequest.options.
 *
 * @see containerd, `api/types/runc/options/oci.proto` and `api/types/runtimeoptions/v1/api.proto`
 * @module
 */

/** What `ctr --runc-binary`, and `options` of a runtime in the configurations of containerd and docker, say. */
export interface RuncOptions {
  noPivotRoot: boolean;
  noNewKeyring: boolean;
  shimCgroup: string;
  ioUid: number;
  ioGid: number;
  binaryName: string;
  root: string;
  criuPath: string;
  systemdCgroup: boolean;
  criuImagePath: string;
  criuWorkPath: string;
  taskApiAddress: string;
  taskApiVersion: number;
}
export const RuncOptions: MessageType<RuncOptions> = message("containerd.runc.v1.Options", () => ({
  noPivotRoot: field.bool(1),
  noNewKeyring: field.bool(2),
  shimCgroup: field.string(3),
  ioUid: field.uint32(4),
  ioGid: field.uint32(5),
  binaryName: field.string(6),
  root: field.string(7),
  criuPath: field.string(8),
  systemdCgroup: field.bool(9),
  criuImagePath: field.string(10),
  criuWorkPath: field.string(11),
  taskApiAddress: field.string(12),
  taskApiVersion: field.uint32(13),
}));
export const { encode: encodeRuncOptions, decode: decodeRuncOptions } = RuncOptions;

export interface ProcessDetails {
  execId: string;
}
export const ProcessDetails: MessageType<ProcessDetails> = message(
  "containerd.runc.v1.ProcessDetails",
  () => ({
    execId: field.string(1),
  }),
);
export const { encode: encodeProcessDetails, decode: decodeProcessDetails } = ProcessDetails;

/** What containerd sends for a runtime whose options it does not know: TOML as it stands in its configuration. */
export interface RuntimeOptions {
  typeUrl: string;
  configPath: string;
  configBody: Uint8Array;
}
export const RuntimeOptions: MessageType<RuntimeOptions> = message(
  "runtimeoptions.v1.Options",
  () => ({
    typeUrl: field.string(1),
    configPath: field.string(2),
    configBody: field.bytes(3),
  }),
);
export const { encode: encodeRuntimeOptions, decode: decodeRuntimeOptions } = RuntimeOptions;
