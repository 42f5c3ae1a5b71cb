/**
 * All messages that the shim reads and writes: each a value that describes it (see `MessageType`; its
 * `name` is the URL in an Any) and, where it is named, a type of the same name.
 *
 * @module
 */
export * from "./bootstrap.ts";
export * from "./events.ts";
export * from "./forward.ts";
export * from "./metrics_v1.ts";
export * from "./metrics_v2.ts";
export * from "./options.ts";
export * from "./task.ts";
export * from "./types.ts";
export * from "../protobuf/well_known.ts";
export type { Input, MessageType } from "../protobuf/types.ts";
export { MalformedMessageError } from "../protobuf/error.ts";
