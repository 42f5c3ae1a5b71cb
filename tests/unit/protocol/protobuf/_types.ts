import * as messages from "../../../../lib/protocol/containerd/messages.ts";
import type { MessageType } from "../../../../lib/protocol/protobuf/types.ts";
import * as ttrpc from "../../../../lib/protocol/ttrpc/messages.ts";

/** Every type of messages there is, also those that are only in others. */
export const TYPES: readonly MessageType<unknown>[] = [
  ...Object.values(messages),
  ...Object.values(ttrpc),
].filter((it) => typeof it === "object" && "fields" in it)
  .flatMap((it) => withInner(it as MessageType<unknown>))
  .filter((it, index, all) => all.indexOf(it) === index);

function withInner(type: MessageType<unknown>): MessageType<unknown>[] {
  return [type, ...Object.values(type.fields).flatMap((it) => it.type ? withInner(it.type) : [])];
}
