import { HostError } from "../errors.ts";
import type { LinkAddress } from "../protocol/netlink/address.ts";
import {
  ARPHRD_ETHER,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_SECONDARY,
  IFA_F_TENTATIVE,
  IFF_LOOPBACK,
  IFF_UP,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
} from "../protocol/netlink/constants.ts";
import type { Link } from "../protocol/netlink/link.ts";
import type { DefaultRoute, StaticRoute } from "../protocol/netlink/route.ts";
import type { NetworkFacts } from "./types.ts";

/** What a network namespace holds. */
export interface NetworkTables {
  links: Link[];
  addresses: LinkAddress[];
  routes: DefaultRoute[];
  staticRoutes?: (StaticRoute & { index: number })[];
}

/**
 * Picks the interface that the guest takes over: the one that the IPv4 default route leaves by,
 * else the IPv6 one, else the only one that is up and has a global address.
 *
 * @returns undefined when the interface does not exist
 * @throws {HostError} when it is not an Ethernet interface: a tap cannot stand in for it
 */
export function chooseInterface(tables: NetworkTables): NetworkFacts | undefined {
  const links = tables.links.filter((link) => !(link.flags & IFF_LOOPBACK) && link.flags & IFF_UP);
  const link = links.find((link) => link.index === bestRoute(tables.routes, links)?.index) ??
    onlyAddressed(links, tables.addresses);
  if (link === undefined) return undefined;
  if (link.type !== ARPHRD_ETHER || link.mac === undefined) {
    throw new HostError({
      operation: "use network interface",
      subject: link.name,
      reason: `not an Ethernet interface (hardware type ${link.type})`,
      remedy: "attach the container by veth, macvlan, ipvlan or another Ethernet device",
    });
  }

  const gateways = (["inet", "inet6"] as const).map((family) =>
    bestRoute(tables.routes.filter((route) => route.family === family), [link])?.gateway
  );
  const [inet, inet6] = gateways;
  const others = links
    .filter((other) => other !== link && usableAddresses(other, tables.addresses).length > 0)
    .map(({ name }) => name);
  const routes = (tables.staticRoutes ?? []).filter(({ index }) => index === link.index)
    .map(({ index: _, ...route }) => route);
  const linkLocal = linkLocalOf(link, tables.addresses);
  return {
    name: link.name,
    index: link.index,
    mac: link.mac,
    mtu: link.mtu,
    addresses: usableAddresses(link, tables.addresses)
      .map(({ family, address, prefixLength }) => ({ family, address, prefixLength })),
    ...(linkLocal && { linkLocal }),
    ...((inet || inet6) && { gateway: { ...(inet && { inet }), ...(inet6 && { inet6 }) } }),
    ...(routes.length > 0 && { routes }),
    ...(others.length > 0 && { others }),
  };
}

/** Its duplicate detection may go on for seconds, and finds another than the guest that takes it over. */
function linkLocalOf(link: Link, addresses: LinkAddress[]): string | undefined {
  return addresses.find(({ index, family, scope, flags }) =>
    index === link.index && family === "inet6" && scope === RT_SCOPE_LINK &&
    !(flags & IFA_F_DADFAILED)
  )?.address;
}

/** IPv4 before IPv6, then the lowest metric, then the order of the kernel. */
function bestRoute(routes: DefaultRoute[], links: Link[]): DefaultRoute | undefined {
  const rank = (route: DefaultRoute) => route.family === "inet" ? 0 : 1;
  return routes
    .filter((route) => links.some((link) => link.index === route.index))
    .sort((a, b) => rank(a) - rank(b) || a.metric - b.metric)[0];
}

function onlyAddressed(links: Link[], addresses: LinkAddress[]): Link | undefined {
  const candidates = links.filter((link) => usableAddresses(link, addresses).length > 0);
  return candidates.length === 1 ? candidates[0] : undefined;
}

/** Global addresses that are in use, IPv4 first, primary before secondary. */
function usableAddresses(link: Link, addresses: LinkAddress[]): LinkAddress[] {
  const unusable = IFA_F_TENTATIVE | IFA_F_DADFAILED;
  const rank = (address: LinkAddress) =>
    (address.family === "inet" ? 0 : 2) +
    (address.flags & (IFA_F_SECONDARY | IFA_F_DEPRECATED) ? 1 : 0);
  return addresses
    .filter((address) =>
      address.index === link.index && address.scope === RT_SCOPE_UNIVERSE &&
      !(address.flags & unusable)
    )
    .sort((a, b) => rank(a) - rank(b));
}
