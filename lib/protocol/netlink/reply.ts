import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  NLMSGERR_ATTR_MSG,
} from "./constants.ts";
import {
  decodeAttributes,
  malformed,
  type NetlinkMessage,
  NLMSG_HDRLEN,
  textOf,
  viewOf,
} from "./message.ts";

/** The answer to one request, as it builds up over several receives. */
export interface Reply {
  /** The messages that carry data. */
  messages: NetlinkMessage[];
  /** Set once the kernel has sent the last message. */
  end?: { errno: number; explanation?: string };
  /** What was dumped changed meanwhile; ask again. */
  interrupted: boolean;
}

/** @returns a reply that nothing has arrived of */
export function emptyReply(): Reply {
  return { messages: [], interrupted: false };
}

/**
 * Adds received messages to a reply.
 *
 * @param reply is changed
 * @param messages in the order they came
 * @param sequence of the request; messages of other requests are passed over
 * @throws {HostError} when a closing message is malformed
 */
export function collect(reply: Reply, messages: NetlinkMessage[], sequence: number): void {
  for (const message of messages) {
    if (message.sequence !== sequence || reply.end !== undefined) continue;
    if (message.flags & NLM_F_DUMP_INTR) reply.interrupted = true;
    switch (message.type) {
      case NLMSG_NOOP:
        break;
      case NLMSG_ERROR:
        reply.end = parseError(message);
        break;
      case NLMSG_DONE:
        reply.end = parseDone(message);
        break;
      case NLMSG_OVERRUN:
        throw malformed("the kernel says that data was lost");
      default:
        reply.messages.push(message);
    }
  }
}

/** struct nlmsgerr: i32 error, the request's header, its payload unless capped; attributes follow. */
function parseError(message: NetlinkMessage): { errno: number; explanation?: string } {
  const { payload, flags } = message;
  if (payload.length < 4 + NLMSG_HDRLEN) {
    throw malformed(`an error message has ${payload.length} bytes`);
  }
  const view = viewOf(payload);
  const errno = Math.abs(view.getInt32(0, true));
  if (!(flags & NLM_F_ACK_TLVS)) return { errno };
  const echoed = flags & NLM_F_CAPPED ? NLMSG_HDRLEN : view.getUint32(4, true);
  return { errno, ...explanationIn(payload, 4 + echoed) };
}

/** The end of a dump holds its result, a negative errno, since that can fail half-way. */
function parseDone(message: NetlinkMessage): { errno: number; explanation?: string } {
  const { payload, flags } = message;
  if (payload.length < 4) return { errno: 0 };
  const errno = Math.abs(Math.min(0, viewOf(payload).getInt32(0, true)));
  return flags & NLM_F_ACK_TLVS ? { errno, ...explanationIn(payload, 4) } : { errno };
}

function explanationIn(payload: Uint8Array, offset: number): { explanation?: string } {
  const text = decodeAttributes(payload, offset).get(NLMSGERR_ATTR_MSG);
  return text ? { explanation: textOf(text) } : {};
}
