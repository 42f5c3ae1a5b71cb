import { CONTAINER_NAME } from "../oci/annotations.ts";
import { HostError } from "../errors.ts";
import { addressBytes, sharePrefix } from "../protocol/netlink/ip.ts";
import { TAP_NAME } from "../network/names.ts";
import { STATIC_NETWORK } from "../network/static.ts";
import type { NetworkFacts } from "../network/types.ts";
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
  if (spec.annotations[CONTAINER_NAME] === KNATIVE_CONTAINER) return "static";
  return sharesNetwork(spec) ? "shared" : "own";
}

/**
 * Steps that connect the guest to its network by a tap.
 *
 * The tap is persistent and owned by the monitor's user, so that an unprivileged monitor attaches
 * by name (drivers/net/tun.c, tun_not_capable: owner and group must both match when both are set).
 *
 * @throws HostError when the interface cannot be used in this mode
 */
export function planNetwork(
  network: NetworkFacts,
  { user, mode, filter, cgroup }: {
    user: { uid: number; gid: number };
    mode: NetworkMode;
    /** Whether the guest may send only under its own addresses. */
    filter: boolean;
    /** The container's, which the tap names. */
    cgroup?: string;
  },
): Step[] {
  const { mtu, tapOwner: owner } = network;
  return [
    { step: "removeStaleTap", name: TAP_NAME, ...(owner !== undefined && { owner }) },
    {
      step: "createTap",
      name: TAP_NAME,
      uid: user.uid,
      gid: user.gid,
      mtu,
      ...(cgroup !== undefined && { cgroup }),
    },
    { step: "linkUp", name: TAP_NAME },
    ...(mode === "static" ? routeSteps(network) : [
      { step: mode === "shared" ? "share" : "redirect", from: network.name, to: TAP_NAME } as const,
    ]),
    ...outgoingSteps(network, mode, filter),
  ];
}

/** What the guest sends: to the container's interface, or to the namespace, which routes it. */
function outgoingSteps(network: NetworkFacts, mode: NetworkMode, filter: boolean): Step[] {
  const to = mode === "static" ? {} : { to: network.name };
  if (filter) {
    const addresses = mode === "static"
      ? [STATIC_NETWORK.guest]
      : [...network.addresses.map(({ address }) => address), ...linkLocalOf(network)];
    return [{ step: "filter", from: TAP_NAME, ...to, mac: network.mac, addresses }];
  }
  return mode === "static" ? [] : [{ step: "redirect", from: TAP_NAME, to: network.name }];
}

/** Kernels make it of the MAC, unless they are asked for another one. */
function linkLocalOf({ linkLocal }: NetworkFacts): string[] {
  return linkLocal === undefined ? [] : [linkLocal];
}

function routeSteps(network: NetworkFacts): Step[] {
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
function requireRoom({ name, addresses }: NetworkFacts): void {
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

/** The guest's addresses: those of the container's interface, except in `static`. */
export function guestNetwork(network: NetworkFacts, mode: NetworkMode): GuestNetwork {
  const guest: GuestNetwork = { mac: network.mac, mtu: network.mtu };
  if (mode === "static") {
    const { tap: gateway, guest: address, prefixLength } = STATIC_NETWORK;
    return { ...guest, ipv4: { address, prefixLength, gateway } };
  }
  if (network.linkLocal !== undefined) guest.linkLocal = network.linkLocal;
  const ipv4 = network.addresses.find((address) => address.family === "inet");
  if (ipv4 !== undefined) {
    guest.ipv4 = {
      address: ipv4.address,
      prefixLength: ipv4.prefixLength,
      gateway: network.gateway?.inet,
    };
  }
  const ipv6 = network.addresses.find((address) => address.family === "inet6");
  if (ipv6 !== undefined) {
    guest.ipv6 = {
      address: ipv6.address,
      prefixLength: ipv6.prefixLength,
      gateway: network.gateway?.inet6,
    };
  }
  const further = network.addresses.filter((address) => address !== ipv4 && address !== ipv6);
  if (further.length > 0) {
    guest.addresses = further.map(({ address, prefixLength }) => ({ address, prefixLength }));
  }
  if (network.routes !== undefined) guest.routes = network.routes;
  return guest;
}
