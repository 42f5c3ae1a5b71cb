import {
  AF_INET,
  AF_INET6,
  NLM_F_APPEND,
  NLM_F_CREATE,
  NLM_F_EXCL,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RT_TABLE_MAIN,
  RTA_DST,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_PRIORITY,
  RTA_TABLE,
  RTM_F_CLONED,
  RTM_GETROUTE,
  RTM_NEWROUTE,
  RTN_UNICAST,
  RTNH_F_ONLINK,
  RTPROT_BOOT,
  RTPROT_KERNEL,
  RTPROT_RA,
} from "./constants.ts";
import { addressBytes, formatAddress } from "./ip.ts";
import {
  type Attribute,
  decodeAttributes,
  malformed,
  type NetlinkMessage,
  numberOf,
  u32,
  viewOf,
} from "./message.ts";
import type { Request } from "./request.ts";

/** Size of `struct rtmsg` in bytes (linux/rtnetlink.h). */
const RTMSG_SIZE = 12;
/** Size of `struct rtnexthop` in bytes (linux/rtnetlink.h). */
const RTNEXTHOP_SIZE = 8;

/** A default route of the main table. */
export interface DefaultRoute {
  family: "inet" | "inet6";
  /** Index of the interface that it leaves by. */
  index: number;
  /** Lower is preferred. */
  metric: number;
  /** Undefined for a route straight to the link. */
  gateway?: string;
}

/** Asks for the routes of one family (send as a dump). */
export function listRoutes(family: "inet" | "inet6"): Request {
  const payload = new Uint8Array(RTMSG_SIZE);
  payload[0] = family === "inet" ? AF_INET : AF_INET6;
  return { type: RTM_GETROUTE, payload };
}

/**
 * Adds a default route, after those of that family and metric by other interfaces; EEXIST when it is there.
 *
 * @param index of the interface that it leaves by
 * @param onLink the gateway is on the link although no address of the interface says so
 * @param metric undefined: the kernel's own
 */
export function addDefaultRoute(
  index: number,
  { gateway, onLink, metric }: { gateway: string; onLink: boolean; metric?: number },
): Request {
  const bytes = addressBytes(gateway);
  const payload = new Uint8Array(RTMSG_SIZE);
  payload[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  payload[4] = RT_TABLE_MAIN;
  payload[5] = RTPROT_BOOT;
  payload[7] = RTN_UNICAST;
  viewOf(payload).setUint32(8, onLink ? RTNH_F_ONLINK : 0, true);
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_APPEND,
    payload,
    // The interface first: it is filled in later, at a known place (lib/build/guest_init/init.c).
    attributes: [
      { type: RTA_OIF, value: u32(index) },
      { type: RTA_GATEWAY, value: bytes },
      ...metricAttribute(metric),
    ],
  };
}

function metricAttribute(metric: number | undefined): Attribute[] {
  return metric === undefined ? [] : [{ type: RTA_PRIORITY, value: u32(metric) }];
}

/** The metric of a route that says none: ip6_route_info_create(), net/ipv6/route.c, has IP6_RT_PRIO_USER. */
const USUAL_METRIC = { inet: 0, inet6: 1024 };

/** @returns undefined when it is what the kernel gives a route by itself */
export function unusualMetric(
  { family, metric }: { family: "inet" | "inet6"; metric: number },
): number | undefined {
  return metric === USUAL_METRIC[family] ? undefined : metric;
}

/** A route to a part of the addresses, which somebody has set. */
export interface StaticRoute {
  family: "inet" | "inet6";
  destination: string;
  prefixLength: number;
  /** Undefined: its addresses are on the link. */
  gateway?: string;
  /** The gateway is on the link although no address of the interface says so. */
  onLink?: true;
  /** Lower is preferred; undefined: the kernel's own. */
  metric?: number;
}

/**
 * Adds a route; EEXIST when there is one to the same addresses with the same metric.
 *
 * @param index of the interface that it leaves by
 */
export function addRoute(
  index: number,
  { destination, prefixLength, gateway, onLink, metric }: StaticRoute,
): Request {
  const bytes = addressBytes(destination);
  const payload = new Uint8Array(RTMSG_SIZE);
  payload[0] = bytes.length === 4 ? AF_INET : AF_INET6;
  payload[1] = prefixLength;
  payload[4] = RT_TABLE_MAIN;
  payload[5] = RTPROT_BOOT;
  payload[6] = gateway === undefined ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  payload[7] = RTN_UNICAST;
  viewOf(payload).setUint32(8, onLink ? RTNH_F_ONLINK : 0, true);
  return {
    type: RTM_NEWROUTE,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    payload,
    // The interface first, as above.
    attributes: [
      { type: RTA_OIF, value: u32(index) },
      { type: RTA_DST, value: bytes },
      ...(gateway === undefined ? [] : [{ type: RTA_GATEWAY, value: addressBytes(gateway) }]),
      ...metricAttribute(metric),
    ],
  };
}

/**
 * @param message an RTM_NEWROUTE
 * @returns undefined for every route but a unicast one of the main table to a part of the addresses, by one
 *   interface, that neither the kernel made of an address nor a router advertised
 * @throws {HostError} when it is malformed
 */
export function parseStaticRoute(
  message: NetlinkMessage,
): StaticRoute & { index: number } | undefined {
  const { payload } = message;
  const attributes = decodeAttributes(payload, RTMSG_SIZE);
  const [family, prefixLength, , , table, protocol, , type] = payload;
  const destination = attributes.get(RTA_DST);
  const index = numberOf(attributes.get(RTA_OIF));
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  if (type !== RTN_UNICAST || protocol === RTPROT_KERNEL || protocol === RTPROT_RA) {
    return undefined;
  }
  if ((numberOf(attributes.get(RTA_TABLE)) ?? table) !== RT_TABLE_MAIN) return undefined;
  const flags = viewOf(payload).getUint32(8, true);
  if (flags & RTM_F_CLONED) return undefined;
  if (prefixLength === 0 || destination === undefined || index === undefined) return undefined;
  const gateway = attributes.get(RTA_GATEWAY);
  const name = family === AF_INET ? "inet" : "inet6";
  const set = numberOf(attributes.get(RTA_PRIORITY)) ?? 0;
  const metric = unusualMetric({ family: name, metric: set });
  return {
    family: name,
    destination: formatAddress(destination),
    prefixLength: prefixLength!,
    index,
    ...(gateway && { gateway: formatAddress(gateway) }),
    ...(flags & RTNH_F_ONLINK && { onLink: true as const }),
    ...(metric !== undefined && { metric }),
  };
}

/**
 * @param message an RTM_NEWROUTE
 * @returns a route for each path of a unicast default route of the main table; none for every other
 * @throws {HostError} when it is malformed
 */
export function parseDefaultRoutes(message: NetlinkMessage): DefaultRoute[] {
  const { payload } = message;
  const attributes = decodeAttributes(payload, RTMSG_SIZE);
  // struct rtmsg: u8 family, dst_len, src_len, tos, table, protocol, scope, type; u32 flags
  const family = payload[0];
  if (family !== AF_INET && family !== AF_INET6) return [];
  if (payload[1] !== 0 || payload[7] !== RTN_UNICAST) return [];
  if ((numberOf(attributes.get(RTA_TABLE)) ?? payload[4]) !== RT_TABLE_MAIN) return [];
  // Entries of the route cache are not routes.
  if (viewOf(payload).getUint32(8, true) & RTM_F_CLONED) return [];

  const multipath = attributes.get(RTA_MULTIPATH);
  const hops = multipath === undefined
    ? [{ index: numberOf(attributes.get(RTA_OIF)), gateway: attributes.get(RTA_GATEWAY) }]
    : nextHops(multipath);
  return hops.flatMap(({ index, gateway }) =>
    index === undefined ? [] : [{
      family: family === AF_INET ? "inet" as const : "inet6" as const,
      index,
      metric: numberOf(attributes.get(RTA_PRIORITY)) ?? 0,
      ...(gateway && { gateway: formatAddress(gateway) }),
    }]
  );
}

/** struct rtnexthop: u16 len, u8 flags, u8 hops, i32 ifindex; attributes follow. */
function nextHops(bytes: Uint8Array): { index: number; gateway?: Uint8Array }[] {
  if (bytes.length < RTNEXTHOP_SIZE) throw malformed("a next hop is cut off");
  const view = viewOf(bytes);
  const length = view.getUint16(0, true);
  if (length < RTNEXTHOP_SIZE || length > bytes.length) {
    throw malformed(`a next hop claims ${length} bytes where ${bytes.length} are left`);
  }
  const attributes = decodeAttributes(bytes.subarray(0, length), RTNEXTHOP_SIZE);
  const hop = { index: view.getInt32(4, true), gateway: attributes.get(RTA_GATEWAY) };
  // RTNH_ALIGN: each begins at a multiple of 4.
  const rest = bytes.subarray(Math.min(bytes.length, length + 3 & ~3));
  return rest.length === 0 ? [hop] : [hop, ...nextHops(rest)];
}
