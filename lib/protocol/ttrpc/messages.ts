import { bytes, embedded, int32, int64, message, string } from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";

/**
 * What ttrpc's frames hold.
 *
 * @see github.com/containerd/ttrpc, `request.proto`; googleapis, `google/rpc/status.proto`
 * @module
 */

export const Request = message("ttrpc.Request", () => ({
  service: string(1),
  method: string(2),
  payload: bytes(3),
  /** How long the caller waits, in nanoseconds; 0: it does not say. */
  timeoutNano: int64(4),
}));
export type Request = MessageOf<typeof Request>;

const RpcStatus = message("google.rpc.Status", () => ({
  /** Of gRPC; 0: no error. */
  code: int32(1),
  message: string(2),
}));

export const Response = message("ttrpc.Response", () => ({
  /** Left out when all is well. */
  status: embedded(1, RpcStatus),
  payload: bytes(2),
}));
export type Response = MessageOf<typeof Response>;
