import { chooseInterface, type NetworkTables } from "./choose.ts";
import { isForwarding } from "./forwarding.ts";
import { listAddresses, parseAddress } from "../protocol/netlink/address.ts";
import { RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE } from "../protocol/netlink/constants.ts";
import { listLinks, parseLink } from "../protocol/netlink/link.ts";
import { listRoutes, parseDefaultRoutes, parseStaticRoute } from "../protocol/netlink/route.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";
import { isTapName } from "./names.ts";
import { tapOwner, TUN_KIND } from "./owner.ts";
import { type IngressOwner, ingressOwners } from "./redirect.ts";
import type { FoundTap, NetworkFacts } from "./types.ts";

/**
 * Finds the interfaces of the calling thread's network namespace that a guest can take over.
 *
 * @returns its facts; undefined when the namespace has no such interface
 * @throws {LinuxError} when the kernel refuses to list
 * @throws {HostError} when the first is not an Ethernet interface
 */
export function readNetwork(): NetworkFacts | undefined {
  using socket = new NetlinkSocket();
  const tables = readTables(socket);
  const ingress = ingressOwners(socket, tables.links);
  const network = chooseInterface({ ...tables, foreignFilters: foreignIn(ingress) });
  if (network === undefined) return undefined;
  const taps = tapsIn(tables);
  const redirected = redirectedIn(tables, ingress);
  const forwarding = isForwarding(network.name);
  return {
    ...network,
    forwarding,
    ...(taps.length > 0 && { taps }),
    ...(redirected.length > 0 && { redirected }),
  };
}

function foreignIn(ingress: Map<number, IngressOwner>): Map<number, string> {
  const foreign = new Map<number, string>();
  for (const [index, owner] of ingress) {
    if (typeof owner !== "string") foreign.set(index, owner.foreign);
  }
  return foreign;
}

/** Without taps, whose filters go with them. */
function redirectedIn({ links }: NetworkTables, ingress: Map<number, IngressOwner>): string[] {
  return links.filter(({ index, kind }) => ingress.get(index) === "ours" && kind !== TUN_KIND)
    .map(({ name }) => name);
}

function tapsIn({ links }: NetworkTables): FoundTap[] {
  return links.filter(({ name, kind }) => isTapName(name) && kind === TUN_KIND)
    .map((link) => ({ name: link.name, owner: tapOwner(link) }));
}

function readTables(socket: NetlinkSocket): NetworkTables {
  const isDefined = <T>(value: T | undefined): value is T => value !== undefined;
  const links = socket.dump(listLinks(), "list network interfaces")
    .filter((message) => message.type === RTM_NEWLINK)
    .map(parseLink);
  const addresses = socket.dump(listAddresses(), "list addresses")
    .filter((message) => message.type === RTM_NEWADDR)
    .map(parseAddress)
    .filter(isDefined);
  const found = (["inet", "inet6"] as const)
    .flatMap((family) => socket.dump(listRoutes(family), "list routes", family))
    .filter((message) => message.type === RTM_NEWROUTE);
  const routes = found.flatMap(parseDefaultRoutes);
  const staticRoutes = found.map(parseStaticRoute).filter(isDefined);
  return { links, addresses, routes, staticRoutes };
}
