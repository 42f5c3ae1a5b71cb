import {
  AF_INET6,
  AF_UNSPEC,
  IFF_UP,
  IFLA_ADDRESS,
  IFLA_AF_SPEC,
  IFLA_IFALIAS,
  IFLA_IFNAME,
  IFLA_INET6_ADDR_GEN_MODE,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINK_NETNSID,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IN6_ADDR_GEN_MODE_NONE,
  RTM_DELLINK,
  RTM_GETLINK,
  RTM_NEWLINK,
} from "./constants.ts";
import { formatMac } from "./ip.ts";
import {
  cString,
  decodeAttributes,
  malformed,
  type NetlinkMessage,
  numberOf,
  textOf,
  u32,
  viewOf,
} from "./message.ts";
import type { Request } from "./request.ts";

/** Size of `struct ifinfomsg` in bytes (linux/rtnetlink.h). */
const IFINFOMSG_SIZE = 16;

/** A network interface. */
export interface Link {
  index: number;
  name: string;
  /** Hardware type, ARPHRD_*. */
  type: number;
  /** IFF_* of linux/if.h. */
  flags: number;
  /** Bytes. */
  mtu: number;
  /** Undefined for interfaces without a hardware address. */
  mac?: string;
  /** Driver family: `veth`, `tun`; undefined for those the kernel does not name. */
  kind?: string;
  /** A text set by the interface's creator. */
  alias?: string;
  /** Index of the bridge or bond that it is a port of. */
  master?: number;
  /** Index of the interface of the same network namespace that it is on, or that is its other end. */
  lower?: number;
}

interface LinkHeader {
  index?: number;
  flags?: number;
  /** Which of `flags` are to be set or cleared. */
  change?: number;
}

/** Lays out `struct ifinfomsg`: u8 family, u8 pad, u16 type, i32 index, u32 flags, u32 change. */
function ifinfomsg({ index = 0, flags = 0, change = 0 }: LinkHeader): Uint8Array {
  const bytes = new Uint8Array(IFINFOMSG_SIZE);
  const view = viewOf(bytes);
  view.setUint8(0, AF_UNSPEC);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return bytes;
}

/** Asks for every interface (send as a dump). */
export function listLinks(): Request {
  return { type: RTM_GETLINK, payload: ifinfomsg({}) };
}

/** Asks for one interface; the kernel answers ENODEV when no interface has that name. */
export function getLink(name: string): Request {
  return {
    type: RTM_GETLINK,
    payload: ifinfomsg({}),
    attributes: [{ type: IFLA_IFNAME, value: cString(name) }],
  };
}

/** Brings an interface up. */
export function setLinkUp(index: number): Request {
  return { type: RTM_NEWLINK, payload: ifinfomsg({ index, flags: IFF_UP, change: IFF_UP }) };
}

/** Renames an interface that is down. @param name at most 15 bytes (IFNAMSIZ) */
export function setLinkName(index: number, name: string): Request {
  return {
    type: RTM_NEWLINK,
    payload: ifinfomsg({ index }),
    attributes: [{ type: IFLA_IFNAME, value: cString(name) }],
  };
}

/** Deletes an interface, even one that is in use. */
export function deleteLink(index: number): Request {
  return { type: RTM_DELLINK, payload: ifinfomsg({ index }) };
}

/** @param mtu bytes */
export function setLinkMtu(index: number, mtu: number): Request {
  return {
    type: RTM_NEWLINK,
    payload: ifinfomsg({ index }),
    attributes: [{ type: IFLA_MTU, value: u32(mtu) }],
  };
}

/** @param alias at most 255 bytes (IFALIASZ) */
export function setLinkAlias(index: number, alias: string): Request {
  return {
    type: RTM_NEWLINK,
    payload: ifinfomsg({ index }),
    attributes: [{ type: IFLA_IFALIAS, value: new TextEncoder().encode(alias) }],
  };
}

/** Keeps the kernel from giving an interface an IPv6 link-local address when it comes up. */
export function setLinkWithoutLinkLocal(index: number): Request {
  const mode = { type: IFLA_INET6_ADDR_GEN_MODE, value: new Uint8Array([IN6_ADDR_GEN_MODE_NONE]) };
  return {
    type: RTM_NEWLINK,
    payload: ifinfomsg({ index }),
    attributes: [{ type: IFLA_AF_SPEC, value: [{ type: AF_INET6, value: [mode] }] }],
  };
}

/**
 * @param message an RTM_NEWLINK
 * @throws {HostError} when it is malformed
 */
export function parseLink(message: NetlinkMessage): Link {
  const { payload } = message;
  const attributes = decodeAttributes(payload, IFINFOMSG_SIZE);
  const view = viewOf(payload);
  const name = attributes.get(IFLA_IFNAME);
  const mtu = numberOf(attributes.get(IFLA_MTU));
  if (name === undefined || mtu === undefined) throw malformed("a link lacks its name or its MTU");
  const address = attributes.get(IFLA_ADDRESS);
  const information = attributes.get(IFLA_LINKINFO);
  const kind = information && decodeAttributes(information).get(IFLA_INFO_KIND);
  const alias = attributes.get(IFLA_IFALIAS);
  const master = numberOf(attributes.get(IFLA_MASTER));
  // Without a namespace it is one of the same.
  const lower = attributes.has(IFLA_LINK_NETNSID) ? 0 : numberOf(attributes.get(IFLA_LINK)) ?? 0;
  return {
    index: view.getInt32(4, true),
    name: textOf(name),
    type: view.getUint16(2, true),
    flags: view.getUint32(8, true),
    mtu,
    ...(address && address.length > 0 && { mac: formatMac(address) }),
    ...(kind && { kind: textOf(kind) }),
    ...(alias && { alias: textOf(alias) }),
    ...(master !== undefined && { master }),
    ...(lower !== 0 && { lower }),
  };
}
