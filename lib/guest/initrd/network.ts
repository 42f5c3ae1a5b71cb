import { addAddress } from "../../protocol/netlink/address.ts";
import { NLM_F_ACK, NLM_F_REQUEST } from "../../protocol/netlink/constants.ts";
import { addressBytes, macBytes, sharePrefix } from "../../protocol/netlink/ip.ts";
import { setLinkUp, setLinkWithoutLinkLocal } from "../../protocol/netlink/link.ts";
import { encodeMessage } from "../../protocol/netlink/message.ts";
import type { Request } from "../../protocol/netlink/request.ts";
import { addDefaultRoute, addRoute } from "../../protocol/netlink/route.ts";
import type { GuestNetwork, GuestRoute } from "../types.ts";

/** Placeholder: the interface's index is not known before the guest boots. */
const UNKNOWN_INDEX = 0;
/** RFC 4291, section 2.5.6. */
const LINK_LOCAL_PREFIX = 64;
/** The first that every Linux has (LOOPBACK_IFINDEX, net/core/dev.h). */
const LOOPBACK_INDEX = 1;

/**
 * `/urunc/network`: the interface's hardware address and 2 zero bytes, then netlink messages that set it
 * up. Our init there (lib/build/guest_init/init.c) looks for the interface, writes its index into each
 * message without one, and sends them in order: an address cannot be used before the interface is up,
 * nor a gateway before there is an address.
 */
export function networkFile(network: GuestNetwork): Uint8Array {
  const { mac, ipv4, ipv6, linkLocal, addresses = [], routes = [] } = network;
  const requests = [
    setLinkUp(LOOPBACK_INDEX),
    setLinkWithoutLinkLocal(UNKNOWN_INDEX),
    setLinkUp(UNKNOWN_INDEX),
    ...linkLocal === undefined ? [] : [linkLocalAddress(linkLocal)],
    ...[ipv4, ipv6].flatMap((family) => family === undefined ? [] : familyRequests(family)),
    ...addresses.map((address) => addAddress(UNKNOWN_INDEX, address)),
    // A gateway may be on the link by a route only.
    ...routes.filter(({ gateway }) => gateway === undefined).map(routeRequest),
    ...routes.filter(({ gateway }) => gateway !== undefined).map(routeRequest),
  ];
  const messages = requests.map(({ type, flags = 0, payload, attributes }) =>
    encodeMessage(
      { type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, sequence: 1, port: 0, payload },
      attributes,
    )
  );
  return Uint8Array.from([...macBytes(mac), 0, 0, ...messages.flatMap((message) => [...message])]);
}

/**
 * Without detection of duplicates: the container's interface may have the same one, and in a pod answers
 * for it.
 */
function linkLocalAddress(address: string): Request {
  return addAddress(UNKNOWN_INDEX, { address, prefixLength: LINK_LOCAL_PREFIX });
}

function routeRequest(route: GuestRoute): Request {
  return addRoute(UNKNOWN_INDEX, route);
}

function familyRequests(
  { address, prefixLength, gateway }: NonNullable<GuestNetwork["ipv4"]>,
): Request[] {
  const added = addAddress(UNKNOWN_INDEX, { address, prefixLength });
  if (gateway === undefined) return [added];
  return [added, addDefaultRoute(UNKNOWN_INDEX, gateway, !isNear(address, prefixLength, gateway))];
}

/** In the subnet, or link-local (RFC 4291, section 2.5.6). */
function isNear(address: string, prefixLength: number, gateway: string): boolean {
  const bytes = addressBytes(gateway);
  return sharePrefix(addressBytes(address), bytes, prefixLength) ||
    (bytes.length === 16 && sharePrefix(bytes, addressBytes("fe80::"), 10));
}
