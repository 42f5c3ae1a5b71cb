import { field, message, type MessageType } from "../protobuf/schema.ts";
import { Any, Timestamp } from "../protobuf/well_known.ts";

/**
 * How an event is sent to containerd.
 *
 * @see containerd, `api/services/ttrpc/events/v1/events.proto`
 * @module
 */

export interface Envelope {
  timestamp?: Timestamp;
  /** Of containerd. */
  namespace: string;
  /** `/tasks/exit` */
  topic: string;
  event?: Any;
}
export const Envelope: MessageType<Envelope> = message(
  "containerd.services.events.ttrpc.v1.Envelope",
  () => ({
    timestamp: field.message(1, Timestamp),
    namespace: field.string(2),
    topic: field.string(3),
    event: field.message(4, Any),
  }),
);
export const { encode: encodeEnvelope, decode: decodeEnvelope } = Envelope;

export interface ForwardRequest {
  envelope?: Envelope;
}
export const ForwardRequest: MessageType<ForwardRequest> = message(
  "containerd.services.events.ttrpc.v1.ForwardRequest",
  () => ({ envelope: field.message(1, Envelope) }),
);
export const { encode: encodeForwardRequest, decode: decodeForwardRequest } = ForwardRequest;
