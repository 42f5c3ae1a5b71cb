import * as messages from "../../../../lib/shim/protobuf/messages.ts";
import type { MessageType } from "../../../../lib/shim/protobuf/schema.ts";
import * as ttrpc from "../../../../lib/shim/protobuf/ttrpc.ts";

/** Every type of messages there is. */
export const TYPES: readonly MessageType<unknown>[] = [
  ...Object.values(messages),
  ...Object.values(ttrpc),
].filter((it) => typeof it === "object" && "fields" in it) as MessageType<unknown>[];
