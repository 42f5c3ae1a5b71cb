import type { Attribute } from "./message.ts";

/** What to ask of the kernel; the socket adds sequence number and flags. */
export interface Request {
  /** RTM_*; of netfilter the subsystem and NFT_MSG_*. */
  type: number;
  /** NLM_F_* beyond NLM_F_REQUEST: NLM_F_CREATE, NLM_F_EXCL. */
  flags?: number;
  /** The fixed structure of the message type. */
  payload: Uint8Array;
  attributes?: Attribute[];
}
