import {
  AF_NETLINK,
  close,
  connect,
  LinuxError,
  MSG_TRUNC,
  poll,
  POLLIN,
  recv,
  send,
  setsockopt,
  SOCK_RAW,
  socket,
  SOL_NETLINK,
} from "../../../ffi/linux.ts";
import { HostError } from "../../errors.ts";
import {
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from "./constants.ts";
import { decodeMessages, encodeMessage, malformed, type NetlinkMessage, u32 } from "./message.ts";
import { collect, emptyReply, type Reply } from "./reply.ts";
import type { Request } from "./request.ts";

/** The kernel fills up to 32 KiB per datagram of a dump (netlink_recvmsg in net/netlink). */
const BUFFER_BYTES = 64 * 1024;
/** The kernel answers within the send; this only bounds a kernel that does not. */
const ANSWER_TIMEOUT_MS = 5000;
/** A dump is asked for again when the tables changed meanwhile, so often at most. */
const DUMP_ATTEMPTS = 5;

/** struct sockaddr_nl: u16 family, u16 pad, u32 port, u32 groups. Port 0 is the kernel's. */
const KERNEL = new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

/**
 * A netlink socket of the network namespace that the calling thread is in when it is made.
 * Everything is synchronous, so that it can be used after `unshare`, when the process's other
 * threads are still in the old namespace.
 */
export class NetlinkSocket implements Disposable {
  readonly #fd: number;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #sequence = 0;

  /**
   * @param protocol the netlink family, routing by default
   * @throws {LinuxError} when the kernel gives none
   */
  constructor(protocol = NETLINK_ROUTE) {
    this.#fd = socket(AF_NETLINK, SOCK_RAW, protocol);
    try {
      // It gets a port that the kernel picks, and no other process in the namespace can send to that, be it
      // a container of the pod with CAP_NET_ADMIN: answers that are none, or so many that the kernel's
      // are never seen (ECONNREFUSED, netlink_getsockbyportid in net/netlink/af_netlink.c).
      connect(this.#fd, KERNEL);
      // Errors then carry the kernel's own text, and do not echo the request.
      setsockopt(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, u32(1));
      setsockopt(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, u32(1));
    } catch (error) {
      close(this.#fd);
      throw error;
    }
  }

  /**
   * Has one request carried out.
   *
   * @param request what is asked for
   * @param operation verb phrase for an error: `add ingress qdisc`
   * @param subject what it is asked for, for an error: the interface's name
   * @returns the messages of the answer, apart from the acknowledgement
   * @throws {LinuxError} when the kernel refuses
   */
  request(request: Request, operation: string, subject?: string): NetlinkMessage[] {
    return this.#ask(request, NLM_F_ACK, operation, subject).messages;
  }

  /**
   * Lists a table. Parameters and errors as for `request`.
   *
   * @throws {HostError} when the table keeps changing
   */
  dump(request: Request, operation: string, subject?: string): NetlinkMessage[] {
    for (let attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
      const reply = this.#ask(request, NLM_F_DUMP, operation, subject);
      if (!reply.interrupted) return reply.messages;
    }
    throw new HostError({ operation, subject, reason: "it kept changing while it was read" });
  }

  /**
   * Has a transaction of netfilter carried out (`transaction` of nftables.ts), or nothing of it.
   * Parameters and errors as for `request`; the socket is of no use after an error.
   */
  commit(requests: Request[], operation: string, subject?: string): void {
    const first = this.#sequence + 1;
    // Begin and end are acknowledged by newer kernels only, so they are not asked to be.
    const messages = requests.map((request, index) =>
      this.#encode(request, index > 0 && index < requests.length - 1 ? NLM_F_ACK : 0)
    );
    send(this.#fd, concat(messages), 0);

    const awaited = new Set(messages.map((_, index) => first + index).slice(1, -1));
    while (awaited.size > 0) {
      for (const message of this.#receive(operation, subject)) {
        const reply = emptyReply();
        // A transaction that cannot begin is answered for at its beginning.
        collect(reply, [message], message.sequence);
        throwUnlessDone(reply, operation, subject);
        awaited.delete(message.sequence);
      }
    }
  }

  close(): void {
    close(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #ask(request: Request, flags: number, operation: string, subject?: string): Reply {
    send(this.#fd, this.#encode(request, flags), 0);
    const sequence = this.#sequence;
    const reply = emptyReply();
    while (reply.end === undefined) collect(reply, this.#receive(operation, subject), sequence);
    throwUnlessDone(reply, operation, subject);
    return reply;
  }

  #encode(request: Request, flags: number): Uint8Array {
    return encodeMessage({
      type: request.type,
      flags: NLM_F_REQUEST | flags | (request.flags ?? 0),
      sequence: ++this.#sequence,
      port: 0,
      payload: request.payload,
    }, request.attributes);
  }

  #receive(operation: string, subject?: string): NetlinkMessage[] {
    const [ready] = poll([{ fd: this.#fd, events: POLLIN }], ANSWER_TIMEOUT_MS);
    if (!ready) {
      throw new HostError({
        operation,
        subject,
        reason: `the kernel did not answer within ${ANSWER_TIMEOUT_MS / 1000} s`,
      });
    }
    // MSG_TRUNC: the result is the datagram's length, also where the buffer is shorter.
    const length = recv(this.#fd, this.#buffer, MSG_TRUNC);
    if (length > this.#buffer.length) {
      throw malformed(`${length} bytes came, room is for ${this.#buffer.length}`);
    }
    // A copy, since the messages outlive the buffer's next use.
    return decodeMessages(this.#buffer.slice(0, length));
  }
}

function throwUnlessDone({ end }: Reply, operation: string, subject?: string): void {
  if (end === undefined || end.errno === 0) return;
  throw new LinuxError(operation, subject, end.errno, end.explanation);
}

function concat(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
