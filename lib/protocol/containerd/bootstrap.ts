import { embedded, message, repeated, string } from "../protobuf/schema.ts";
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

const Extension = message("containerd.runtime.bootstrap.v1.Extension", () => ({
  value: embedded(1, Any),
}));

export const BootstrapParams = message("containerd.runtime.bootstrap.v1.BootstrapParams", () => ({
  instanceId: string(1),
  namespace: string(2),
  /** The runtime's options are one of them. */
  extensions: repeated(embedded(8, Extension)),
}));

const RuntimeVersion = message("containerd.types.RuntimeVersion", () => ({
  version: string(1),
  revision: string(2),
}));

/** What a shim called with `-info` writes. */
export const RuntimeInfo = message("containerd.types.RuntimeInfo", () => ({
  name: string(1),
  version: embedded(2, RuntimeVersion),
  /** As they came on standard input. */
  options: embedded(3, Any),
  /** Of the OCI runtime, as `features` prints them. */
  features: embedded(4, Any),
}));
