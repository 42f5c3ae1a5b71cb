import { chooseInterface, type NetworkTables } from "./choose.ts";
import { isForwarding } from "./forwarding.ts";
import { listAddresses, parseAddress } from "../protocol/netlink/address.ts";
import { RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE } from "../protocol/netlink/constants.ts";
import { listLinks, parseLink } from "../protocol/netlink/link.ts";
import { listRoutes, parseDefaultRoute, parseStaticRoute } from "../protocol/netlink/route.ts";
import { NetlinkSocket } from "../protocol/netlink/socket.ts";
import { TAP_NAME } from "./names.ts";
import { tapOwner } from "./owner.ts";
import type { NetworkFacts } from "./types.ts";

/**
 * Finds the interface of the calling thread's network namespace that the guest is to take over.
 *
 * @returns its facts; undefined when the namespace has no interface to speak of
 * @throws {LinuxError} when the kernel refuses to list
 * @throws {HostError} when it is not an Ethernet interface
 */
export function readNetwork(): NetworkFacts | undefined {
  using socket = new NetlinkSocket();
  const tables = readTables(socket);
  const network = chooseInterface(tables);
  if (network === undefined) return undefined;
  const owner = tapOwner(tables.links.find(({ name }) => name === TAP_NAME));
  const forwarding = isForwarding(network.name);
  return { ...network, forwarding, ...(owner !== undefined && { tapOwner: owner }) };
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
  const routes = found.map(parseDefaultRoute).filter(isDefined);
  const staticRoutes = found.map(parseStaticRoute).filter(isDefined);
  return { links, addresses, routes, staticRoutes };
}
