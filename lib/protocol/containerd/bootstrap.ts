import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Any } from "../protobuf/well_known.ts";

/**
 * How containerd 2.3 and later start a shim: parameters on its standard input, where earlier ones
 * write the runtime's options (an Any), and a result on its standard output.
 *
 * An Any decodes as BootstrapParams too (its URL as `instanceId`): they are parameters only when
 * `instanceId` and `namespace` are those of the command line.
 *
 * @see containerd, `api/runtime/bootstrap/v1/bootstrap.proto`; `pkg/shim/compat.go`
 * @module
 */

/** Level 0 is INFO; below are more talkative levels, to -8. Other numbers come from newer versions. */
export type LogLevel = number;

export interface Extension {
  value?: Any;
}
export const Extension: MessageType<Extension> = message(
  "containerd.runtime.bootstrap.v1.Extension",
  () => ({ value: field.message(1, Any) }),
);
export const { encode: encodeExtension, decode: decodeExtension } = Extension;

export interface BootstrapParams {
  instanceId: string;
  namespace: string;
  logLevel: LogLevel;
  containerdVersion: string;
  containerdTtrpcAddress: string;
  containerdGrpcAddress: string;
  containerdBinary: string;
  /** The runtime's options are one of them. */
  extensions: Extension[];
  /** Where to put the socket; empty: /run/containerd/s. */
  socketDir: string;
}
export const BootstrapParams: MessageType<BootstrapParams> = message(
  "containerd.runtime.bootstrap.v1.BootstrapParams",
  () => ({
    instanceId: field.string(1),
    namespace: field.string(2),
    logLevel: field.enum(3),
    containerdVersion: field.string(4),
    containerdTtrpcAddress: field.string(5),
    containerdGrpcAddress: field.string(6),
    containerdBinary: field.string(7),
    extensions: field.repeated(field.message(8, Extension)),
    socketDir: field.string(9),
  }),
);
export const { encode: encodeBootstrapParams, decode: decodeBootstrapParams } = BootstrapParams;

export interface BootstrapResult {
  /** Of the task service: 2 or 3. */
  version: number;
  /** `unix://` and a path. */
  address: string;
  /** `ttrpc` */
  protocol: string;
  capabilities: number[];
  metadata: Map<string, string>;
}
export const BootstrapResult: MessageType<BootstrapResult> = message(
  "containerd.runtime.bootstrap.v1.BootstrapResult",
  () => ({
    version: field.int32(1),
    address: field.string(2),
    protocol: field.string(3),
    capabilities: field.repeated(field.enum(4)),
    metadata: field.map(5),
  }),
);
export const { encode: encodeBootstrapResult, decode: decodeBootstrapResult } = BootstrapResult;

export interface RuntimeVersion {
  version: string;
  revision: string;
}
export const RuntimeVersion: MessageType<RuntimeVersion> = message(
  "containerd.types.RuntimeVersion",
  () => ({ version: field.string(1), revision: field.string(2) }),
);
export const { encode: encodeRuntimeVersion, decode: decodeRuntimeVersion } = RuntimeVersion;

/** What a shim called with `-info` writes. */
export interface RuntimeInfo {
  name: string;
  version?: RuntimeVersion;
  /** As they came on standard input. */
  options?: Any;
  /** What `features` of the OCI command line reports. */
  features?: Any;
  annotations: Map<string, string>;
}
export const RuntimeInfo: MessageType<RuntimeInfo> = message(
  "containerd.types.RuntimeInfo",
  () => ({
    name: field.string(1),
    version: field.message(2, RuntimeVersion),
    options: field.message(3, Any),
    features: field.message(4, Any),
    annotations: field.map(5),
  }),
);
export const { encode: encodeRuntimeInfo, decode: decodeRuntimeInfo } = RuntimeInfo;
