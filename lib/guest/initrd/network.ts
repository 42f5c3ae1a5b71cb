import { addAddress } from "../../protocol/netlink/address.ts";
import { NLM_F_ACK, NLM_F_REQUEST } from "../../protocol/netlink/constants.ts";
import { addressBytes, macBytes, sharePrefix } from "../../protocol/netlink/ip.ts";
import { setLinkName, setLinkUp, setLinkWithoutLinkLocal } from "../../protocol/netlink/link.ts";
import { encodeMessage } from "../../protocol/netlink/message.ts";
import type { Request } from "../../protocol/netlink/request.ts";
import { addDefaultRoute, addRoute } from "../../protocol/netlink/route.ts";
import type { GuestAddress, GuestNetwork } from "../types.ts";

/** RFC 4291, section 2.5.6. */
const LINK_LOCAL_PREFIX = 64;
/** The first that every Linux has (LOOPBACK_IFINDEX, net/core/dev.h). */
const LOOPBACK_INDEX = 1;

/**
 * `/urunc/network`: for each interface its hardware address and in 2 bytes how many of them follow; then
 * netlink messages that set them up. Our init there (lib/build/guest_init/network.c) looks for the
 * interfaces, and sends the messages in order, with an interface's index in place of its number below 0.
 *
 * An interface is renamed before it is up, and by way of a name that no other has: the guest's kernel may
 * have given its name to another. An address cannot be used before the interface is up, nor a gateway
 * before there is an address.
 *
 * @param networks at most 8: lib/network/choose.ts
 */
export function networkFile(networks: GuestNetwork[]): Uint8Array {
  const all = networks.map((network, position) => ({ ...network, index: -1 - position }));
  const requests = [
    setLinkUp(LOOPBACK_INDEX),
    ...(all.length > 1 ? all.flatMap((it, position) => renamed(it, `urunc${position}`)) : []),
    ...all.flatMap((it) => renamed(it, it.name)),
    ...all.flatMap(addressRequests),
    // A gateway may be on the link by a route only.
    ...all.flatMap((it) => routeRequests(it, ({ gateway }) => gateway === undefined)),
    ...all.flatMap((it) => routeRequests(it, ({ gateway }) => gateway !== undefined)),
  ];
  const messages = requests.map(({ type, flags = 0, payload, attributes }) =>
    encodeMessage(
      { type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, sequence: 1, port: 0, payload },
      attributes,
    )
  );
  const records = networks.map(({ mac }, position) => [
    ...macBytes(mac),
    ...[networks.length - 1 - position, 0],
  ]);
  return Uint8Array.from([...records.flat(), ...messages.flatMap((message) => [...message])]);
}

/** With the number that stands for its index, which is not known before the guest boots. */
type Numbered = GuestNetwork & { index: number };

function renamed({ name, index }: Numbered, to: string | undefined): Request[] {
  return name === undefined || to === undefined ? [] : [setLinkName(index, to)];
}

/**
 * The link-local address is without detection of duplicates: the container's interface may have the same
 * one, and in a pod answers for it.
 */
function addressRequests({ index, ipv4, ipv6, linkLocal, addresses = [] }: Numbered): Request[] {
  const all = [
    ...linkLocal === undefined ? [] : [{ address: linkLocal, prefixLength: LINK_LOCAL_PREFIX }],
    ...[ipv4, ipv6].filter((it) => it !== undefined),
    ...addresses,
  ];
  return [
    setLinkWithoutLinkLocal(index),
    setLinkUp(index),
    ...all.flatMap((address) => familyRequests(index, address)),
  ];
}

function routeRequests(
  { index, routes = [] }: Numbered,
  which: (route: NonNullable<GuestNetwork["routes"]>[number]) => boolean,
): Request[] {
  return routes.filter(which).map((route) => addRoute(index, route));
}

function familyRequests(index: number, given: GuestAddress): Request[] {
  const { address, prefixLength, gateway, metric } = given;
  const added = addAddress(index, given);
  if (gateway === undefined) return [added];
  const onLink = !isNear(address, prefixLength, gateway);
  return [added, addDefaultRoute(index, { gateway, onLink, metric })];
}

/** In the subnet, or link-local (RFC 4291, section 2.5.6). */
function isNear(address: string, prefixLength: number, gateway: string): boolean {
  const bytes = addressBytes(gateway);
  return sharePrefix(addressBytes(address), bytes, prefixLength) ||
    (bytes.length === 16 && sharePrefix(bytes, addressBytes("fe80::"), 10));
}
