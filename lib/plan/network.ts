import { containerName } from "../oci/annotations.ts";
import { HostError } from "../errors.ts";
import { addressBytes, sharePrefix } from "../protocol/netlink/ip.ts";
import { TAP_NAME, tapName } from "../network/names.ts";
import { STATIC_NETWORK } from "../network/static.ts";
import type { InterfaceFacts, NetworkFacts } from "../network/types.ts";
import type { InterfaceAddress } from "../protocol/netlink/address.ts";
import type { Spec } from "../oci/types.ts";
import type { GuestNetwork } from "../guest/types.ts";
import { sharesNetwork } from "./namespaces.ts";
import type { Step } from "./types.ts";

/**
 * How a guest takes part in the network of its namespace.
 *
 * - `own`: it gets every incoming packet. Only its monitor uses the namespace too, and needs none.
 * - `shared`: others may use the namespace, a pod's. If the guest got every packet, they would get no
 *   answers. So packets for their sockets stay with them, and all share the pod's address, as ordinary
 *   containers do.
 * - `static`: the pod keeps its interface; the guest gets a subnet that it shares with the pod, and its
 *   packets leave under the pod's address. For guests that are reached through another container of the
 *   pod, which in `shared` would reach only itself at that address.
 */
export type NetworkMode = "own" | "shared" | "static";

/** What Knative calls the container that its `queue-proxy` passes requests to. */
const KNATIVE_CONTAINER = "user-container";

/** The network mode of a container that has a network. */
export function networkMode(spec: Spec): NetworkMode {
  if (containerName(spec.annotations) === KNATIVE_CONTAINER) return "static";
  return sharesNetwork(spec) ? "shared" : "own";
}

/** What connecting a guest to its network depends on. */
interface NetworkInput {
  /** The monitor's. */
  user: { uid: number; gid: number };
  mode: NetworkMode;
  /** Whether the guest may send only under its own addresses. */
  filter: boolean;
  /** The container's, which the taps name. */
  cgroup?: string;
}

/** An interface that a guest takes over, and its tap. */
export interface TakenInterface {
  facts: InterfaceFacts;
  tap: string;
}

/**
 * Memory of the guest that each interface but the first takes before the program runs: what its kernel puts
 * into the receive queue. Measured 2.5 MiB with Linux 6.12 and one processor, with 4 and with 8 of them.
 */
const FURTHER_GUEST_BYTES = 2.75 * 1024 * 1024;

/** Guest memory for what {@linkcode takenInterfaces} has besides the first. */
export function furtherGuestBytes(network: NetworkFacts | undefined): number {
  return (network?.further?.length ?? 0) * FURTHER_GUEST_BYTES;
}

/** The interfaces that a guest takes over, the first one first. */
export function takenInterfaces(network: NetworkFacts | undefined): TakenInterface[] {
  if (network === undefined) return [];
  return [network, ...network.further ?? []]
    .map((facts, position) => ({ facts, tap: tapName(position) }));
}

/**
 * For a guest with one interface: the others are not connected.
 *
 * @returns undefined when nothing says which that is
 */
export function onlyFirst({ further = [], ...network }: NetworkFacts): NetworkFacts | undefined {
  if (network.isAmbiguous) return undefined;
  const addressed = further.filter(({ addresses }) => addresses.length > 0);
  const others = [...addressed, ...network.others ?? []].map(({ name }) => ({ name }));
  return { ...network, ...(others.length > 0 && { others }) };
}

/**
 * Steps that connect the guest to its network, by a tap for each interface.
 *
 * A tap is persistent and owned by the monitor's user, so that an unprivileged monitor attaches
 * by name (drivers/net/tun.c, tun_not_capable: owner and group must both match when both are set).
 *
 * @throws HostError when the first interface cannot be used in this mode
 */
export function planNetwork(network: NetworkFacts, input: NetworkInput): Step[] {
  const taken = takenInterfaces(network);
  const names = taken.map(({ tap }) => tap);
  const { taps: found = [], redirected = [] } = network;
  return [
    // An earlier guest may have had more.
    ...[...new Set([...names, ...found.map(({ name }) => name)])].map((name): Step => {
      const owner = found.find((it) => it.name === name)?.owner;
      return { step: "removeStaleTap", name, ...(owner !== undefined && { owner }) };
    }),
    // Of a guest whose taps are removed by now; also by interfaces that this one does not take over.
    ...redirected.map((from): Step => ({ step: "removeIngress", from })),
    ...taken.flatMap((it) => interfaceSteps(it, input)),
  ];
}

function interfaceSteps({ facts, tap }: TakenInterface, input: NetworkInput): Step[] {
  const { user, mode, cgroup } = input;
  return [
    {
      step: "createTap",
      name: tap,
      uid: user.uid,
      gid: user.gid,
      mtu: facts.mtu,
      ...(cgroup !== undefined && { cgroup }),
    },
    { step: "linkUp", name: tap },
    ...(mode === "static" ? routeSteps(facts) : [
      { step: mode === "shared" ? "share" : "redirect", from: facts.name, to: tap } as const,
    ]),
    ...outgoingSteps({ facts, tap }, input),
  ];
}

/** What the guest sends: to the container's interface, or to the namespace, which routes it. */
function outgoingSteps(
  { facts: network, tap }: TakenInterface,
  { mode, filter }: NetworkInput,
): Step[] {
  const to = mode === "static" ? {} : { to: network.name };
  if (filter) {
    const addresses = mode === "static"
      ? [STATIC_NETWORK.guest]
      : [...network.addresses.map(({ address }) => address), ...linkLocalOf(network)];
    return [{ step: "filter", from: tap, ...to, mac: network.mac, addresses }];
  }
  return mode === "static" ? [] : [{ step: "redirect", from: tap, to: network.name }];
}

/** Kernels make it of the MAC, unless they are asked for another one. */
function linkLocalOf({ linkLocal }: InterfaceFacts): string[] {
  return linkLocal === undefined ? [] : [linkLocal];
}

function routeSteps(network: InterfaceFacts): Step[] {
  requireRoom(network);
  const { tap: address, prefixLength } = STATIC_NETWORK;
  return [
    { step: "giveAddress", name: TAP_NAME, address, prefixLength },
    // Per incoming interface, not for the whole namespace: the tap's setting disappears with the tap,
    // and `delete` restores the other one.
    { step: "forward", name: TAP_NAME },
    { step: "forward", name: network.name },
    { step: "masquerade", address, prefixLength, to: network.name },
  ];
}

/** @throws HostError when the guest's subnet overlaps the pod's, or the pod has no IPv4 address */
function requireRoom({ name, addresses }: InterfaceFacts): void {
  const { tap, prefixLength } = STATIC_NETWORK;
  const refuse = (reason: string, remedy: string) =>
    new HostError({ operation: "plan network", subject: name, reason, remedy });
  const inet = addresses.filter(({ family }) => family === "inet");
  if (inet.length === 0) {
    const reason = "it has no IPv4 address for the guest's packets to leave under";
    throw refuse(reason, "Knative's guests need a pod network with IPv4");
  }
  const taken = inet.find((it) =>
    sharePrefix(
      addressBytes(it.address),
      addressBytes(tap),
      Math.min(prefixLength, it.prefixLength),
    )
  );
  if (taken === undefined) return;
  throw refuse(
    `its ${taken.address}/${taken.prefixLength} overlaps the guest's ${tap}/${prefixLength}`,
    "Knative's guests need a pod network with another subnet",
  );
}

/** What an agent sets up: each interface that the guest takes over, with its name and metrics. */
export function agentNetworks(network: NetworkFacts, mode: NetworkMode): GuestNetwork[] {
  return takenInterfaces(network).map(({ facts }) => {
    const { ipv4, ipv6, ...rest } = guestNetwork(facts, mode);
    const { inet, inet6 } = mode === "static" ? {} : facts.metric ?? {};
    return {
      ...rest,
      name: facts.name,
      ...(ipv4 && { ipv4: { ...ipv4, ...(inet !== undefined && { metric: inet }) } }),
      ...(ipv6 && { ipv6: { ...ipv6, ...(inet6 !== undefined && { metric: inet6 }) } }),
    };
  });
}

/** The guest's addresses: those of the container's interface, except in `static`. */
export function guestNetwork(network: InterfaceFacts, mode: NetworkMode): GuestNetwork {
  const guest: GuestNetwork = { mac: network.mac, mtu: network.mtu };
  if (mode === "static") {
    const { tap: gateway, guest: address, prefixLength } = STATIC_NETWORK;
    return { ...guest, ipv4: { address, prefixLength, gateway } };
  }
  if (network.linkLocal !== undefined) guest.linkLocal = network.linkLocal;
  const ipv4 = network.addresses.find((address) => address.family === "inet");
  if (ipv4 !== undefined) {
    guest.ipv4 = {
      ...withoutFamily(ipv4),
      gateway: network.gateway?.inet,
    };
  }
  const ipv6 = network.addresses.find((address) => address.family === "inet6");
  if (ipv6 !== undefined) {
    guest.ipv6 = {
      ...withoutFamily(ipv6),
      gateway: network.gateway?.inet6,
    };
  }
  const further = network.addresses.filter((address) => address !== ipv4 && address !== ipv6);
  if (further.length > 0) {
    guest.addresses = further.map(withoutFamily);
  }
  if (network.routes !== undefined) guest.routes = network.routes;
  return guest;
}

function withoutFamily({ address, prefixLength, broadcast }: InterfaceAddress) {
  return { address, prefixLength, ...(broadcast && { broadcast }) };
}
