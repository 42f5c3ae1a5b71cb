import * as messages from "../../../../lib/protocol/containerd/messages.ts";
import type { MessageType } from "../../../../lib/protocol/protobuf/schema.ts";
import * as ttrpc from "../../../../lib/protocol/ttrpc/messages.ts";

/** Every type of messages there is. */
export const TYPES: readonly MessageType<unknown>[] = [
  ...Object.values(messages),
  ...Object.values(ttrpc),
].filter((it) => typeof it === "object" && "fields" in it) as MessageType<unknown>[];
