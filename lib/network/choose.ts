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
import { type DefaultRoute, type StaticRoute, unusualMetric } from "../protocol/netlink/route.ts";
import { TUN_KIND } from "./owner.ts";
import type { InterfaceFacts, NetworkFacts, OtherInterface } from "./types.ts";

/** What a network namespace holds. */
export interface NetworkTables {
  links: Link[];
  addresses: LinkAddress[];
  routes: DefaultRoute[];
  staticRoutes?: (StaticRoute & { index: number })[];
  /** By the index of an interface: what another program filters its incoming packets by. */
  foreignFilters?: Map<number, string>;
}

/** The most that a guest gets: half of QEMU's bus is for disks and what else a guest needs. */
const MOST_INTERFACES = 8;

/**
 * Picks the interface that every guest takes over: the one that the IPv4 default route leaves by,
 * else the IPv6 one, else the only one that is up and has a global address. Where several have one, it
 * is the first of them, and that is said. With it come those that a guest with several interfaces has
 * besides: every other Ethernet interface that is up.
 *
 * @returns undefined when there is none
 * @throws {HostError} when it is not an Ethernet interface: a tap cannot stand in for it
 */
export function chooseInterface(tables: NetworkTables): NetworkFacts | undefined {
  const links = tables.links.filter((link) => !(link.flags & IFF_LOOPBACK) && link.flags & IFF_UP);
  const clear = links.find((link) => link.index === bestRoute(tables.routes, links)?.index) ??
    onlyAddressed(links, tables.addresses);
  if (clear !== undefined) requireEthernet(clear);
  const isAddressed = (link: Link) => usableAddresses(link, tables.addresses).length > 0;
  const possible = links.filter((it) => isAddressed(it) && refusal(it, []) === undefined);
  const first = clear ?? possible.find((it) => filtered(it, tables) === undefined) ?? possible[0];
  if (first === undefined) return undefined;

  const taken = [first];
  const others: OtherInterface[] = [];
  for (const link of links) {
    if (link === first) continue;
    const reason = refusal(link, taken) ?? filtered(link, tables);
    if (reason === undefined) taken.push(link);
    else if (isAddressed(link)) others.push({ name: link.name, reason });
  }
  const further = taken.slice(1).map((link) => factsOf(link, tables));
  return {
    ...factsOf(first, tables),
    ...(further.length > 0 && { further }),
    ...(others.length > 0 && { others }),
    ...(clear === undefined && { isAmbiguous: true }),
  };
}

/** Type of the link layer, and an address in it: what a tap can stand in for. */
function isEthernet(link: Link): link is Link & { mac: string } {
  return link.type === ARPHRD_ETHER && link.mac !== undefined;
}

function requireEthernet(link: Link): asserts link is Link & { mac: string } {
  if (isEthernet(link)) return;
  throw new HostError({
    operation: "use network interface",
    subject: link.name,
    reason: `not an Ethernet interface (hardware type ${link.type})`,
    remedy: "attach the container by veth, macvlan, ipvlan or another Ethernet device",
  });
}

/** Why a guest cannot have an interface beside those that it has; undefined: it can. */
function refusal(link: Link, taken: Link[]): string | undefined {
  if (!isEthernet(link)) return "it is not Ethernet";
  if (link.kind === TUN_KIND) return "it is a tap";
  if (link.master !== undefined) return "it is a port of a bridge or bond";
  // Its packets come in by the other one, where they would be redirected already.
  if (link.lower !== undefined) return "it is on another interface of the container";
  // Redirected, it would leave the other one nothing.
  if (taken.some(({ lower }) => lower === link.index)) return "one that the guest has is on it";
  // Guests know interfaces by their addresses: those of ipvlan all have that of the host's.
  const same = taken.find(({ mac }) => mac === link.mac);
  if (same !== undefined) return `its hardware address is that of ${same.name}`;
  if (taken.length >= MOST_INTERFACES) return `a guest has at most ${MOST_INTERFACES}`;
  return undefined;
}

/** Why what comes in by an interface cannot be redirected; undefined: it can. */
function filtered({ index }: Link, { foreignFilters }: NetworkTables): string | undefined {
  const by = foreignFilters?.get(index);
  return by && `another program filters its incoming packets (${by})`;
}

function factsOf(link: Link, tables: NetworkTables): InterfaceFacts {
  requireEthernet(link);
  const [inet, inet6] = (["inet", "inet6"] as const).map((family) =>
    bestRoute(tables.routes.filter((route) => route.family === family), [link])
  );
  const metrics = {
    ...metricOf("inet", inet),
    ...metricOf("inet6", inet6),
  };
  const gateway = {
    ...(inet?.gateway && { inet: inet.gateway }),
    ...(inet6?.gateway && { inet6: inet6.gateway }),
  };
  const routes = (tables.staticRoutes ?? []).filter(({ index }) => index === link.index)
    .map(({ index: _, ...route }) => route);
  const linkLocal = linkLocalOf(link, tables.addresses);
  return {
    name: link.name,
    index: link.index,
    mac: link.mac,
    mtu: link.mtu,
    addresses: usableAddresses(link, tables.addresses)
      .map(({ family, address, prefixLength, broadcast }) => ({
        ...{ family, address, prefixLength },
        ...(broadcast && { broadcast }),
      })),
    ...(linkLocal && { linkLocal }),
    ...(Object.keys(gateway).length > 0 && { gateway }),
    ...(Object.keys(metrics).length > 0 && { metric: metrics }),
    ...(routes.length > 0 && { routes }),
  };
}

function metricOf(family: "inet" | "inet6", route: DefaultRoute | undefined) {
  const metric = route?.gateway === undefined ? undefined : unusualMetric(route);
  return metric === undefined ? {} : { [family]: metric };
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
