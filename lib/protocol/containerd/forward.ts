import { embedded, message, string } from "../protobuf/schema.ts";
import type { MessageOf } from "../protobuf/types.ts";
import { Any, Timestamp } from "../protobuf/well_known.ts";

/**
 * How an event is sent to containerd.
 *
 * @see containerd, `api/services/ttrpc/events/v1/events.proto`
 * @module
 */

export const Envelope = message("containerd.services.events.ttrpc.v1.Envelope", () => ({
  timestamp: embedded(1, Timestamp),
  /** Of containerd. */
  namespace: string(2),
  /** `/tasks/exit` */
  topic: string(3),
  event: embedded(4, Any),
}));
export type Envelope = MessageOf<typeof Envelope>;

export const ForwardRequest = message("containerd.services.events.ttrpc.v1.ForwardRequest", () => ({
  envelope: embedded(1, Envelope),
}));
