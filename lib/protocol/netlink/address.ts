import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_F_NODAD,
  IFA_FLAGS,
  IFA_LOCAL,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RTM_GETADDR,
  RTM_NEWADDR,
} from "./constants.ts";
import { addressBytes, formatAddress } from "./ip.ts";
import {
  decodeAttributes,
  malformed,
  type NetlinkMessage,
  numberOf,
  u32,
  viewOf,
} from "./message.ts";
import type { Request } from "./request.ts";

/** Size of `struct ifaddrmsg` in bytes (linux/if_addr.h). */
const IFADDRMSG_SIZE = 8;

/** An address, and the interface that has it. */
export interface LinkAddress extends InterfaceAddress {
  index: number;
  /** RT_SCOPE_*. */
  scope: number;
  /** IFA_F_*. */
  flags: number;
}

/** Asks for every address of every family (send as a dump). */
export function listAddresses(): Request {
  const payload = new Uint8Array(IFADDRMSG_SIZE);
  payload[0] = AF_UNSPEC;
  return { type: RTM_GETADDR, payload };
}

/**
 * Gives an interface an address; EEXIST when it has it. An IPv6 one is usable at once, without
 * duplicate address detection: its assignment is trusted.
 *
 * @param index of the interface
 */
export function addAddress(
  index: number,
  { address, prefixLength, broadcast }: Omit<InterfaceAddress, "family">,
): Request {
  const bytes = addressBytes(address);
  const payload = new Uint8Array(IFADDRMSG_SIZE);
  payload[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  payload[1] = prefixLength;
  viewOf(payload).setUint32(4, index, true);
  return {
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload,
    attributes: [
      { type: IFA_LOCAL, value: bytes },
      { type: IFA_ADDRESS, value: bytes },
      ...(broadcast === undefined ? [] : [{ type: IFA_BROADCAST, value: addressBytes(broadcast) }]),
      ...(bytes.length === 4 ? [] : [{ type: IFA_FLAGS, value: u32(IFA_F_NODAD) }]),
    ],
  };
}

/**
 * @param message an RTM_NEWADDR
 * @returns undefined for a family other than IPv4 and IPv6
 * @throws {HostError} when it is malformed
 */
export function parseAddress(message: NetlinkMessage): LinkAddress | undefined {
  const { payload } = message;
  const attributes = decodeAttributes(payload, IFADDRMSG_SIZE);
  // struct ifaddrmsg: u8 family, u8 prefixlen, u8 flags, u8 scope, u32 index
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  // On a point-to-point link IFA_ADDRESS is the peer; IFA_LOCAL, where present, is our own.
  const address = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (address === undefined) throw malformed("an address message holds no address");
  if (address.length !== (family === AF_INET ? 4 : 16)) {
    throw malformed(`an address of family ${family} has ${address.length} bytes`);
  }
  const broadcast = attributes.get(IFA_BROADCAST);
  return {
    family: family === AF_INET ? "inet" : "inet6",
    address: formatAddress(address),
    prefixLength: payload[1]!,
    ...(broadcast?.length === 4 && { broadcast: formatAddress(broadcast) }),
    index: viewOf(payload).getUint32(4, true),
    scope: payload[3]!,
    // The header has room for 8 flags; the attribute holds all of them.
    flags: numberOf(attributes.get(IFA_FLAGS)) ?? payload[2]!,
  };
}

/** An address as netlink reports it. */
export interface InterfaceAddress {
  family: "inet" | "inet6";
  /** Dotted quad, or IPv6 text form (RFC 5952). */
  address: string;
  prefixLength: number;
  /** IPv4, where somebody has set it. */
  broadcast?: string;
}
