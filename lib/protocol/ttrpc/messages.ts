import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Any } from "../protobuf/well_known.ts";

/**
 * What ttrpc's frames hold.
 *
 * @see github.com/containerd/ttrpc, `request.proto`; googleapis, `google/rpc/status.proto`
 * @module
 */

export interface KeyValue {
  key: string;
  value: string;
}
export const KeyValue: MessageType<KeyValue> = message("ttrpc.KeyValue", () => ({
  key: field.string(1),
  value: field.string(2),
}));

export interface Request {
  service: string;
  method: string;
  payload: Uint8Array;
  /** How long the caller waits, in nanoseconds; 0: it does not say. */
  timeoutNano: bigint;
  metadata: KeyValue[];
}
export const Request: MessageType<Request> = message("ttrpc.Request", () => ({
  service: field.string(1),
  method: field.string(2),
  payload: field.bytes(3),
  timeoutNano: field.int64(4),
  metadata: field.repeated(field.message(5, KeyValue)),
}));
export const { encode: encodeRequest, decode: decodeRequest } = Request;

export interface RpcStatus {
  /** Of gRPC; 0: no error. */
  code: number;
  message: string;
  details: Any[];
}
export const RpcStatus: MessageType<RpcStatus> = message("google.rpc.Status", () => ({
  code: field.int32(1),
  message: field.string(2),
  details: field.repeated(field.message(3, Any)),
}));
export const { encode: encodeRpcStatus, decode: decodeRpcStatus } = RpcStatus;

export interface Response {
  /** Left out when all is well. */
  status?: RpcStatus;
  payload: Uint8Array;
}
export const Response: MessageType<Response> = message("ttrpc.Response", () => ({
  status: field.message(1, RpcStatus),
  payload: field.bytes(2),
}));
export const { encode: encodeResponse, decode: decodeResponse } = Response;
