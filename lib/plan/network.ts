import type { GuestNetwork } from "../unikernel/types.ts";
import { TAP_NAME } from "../network/names.ts";
import type { NetworkFacts } from "../network/types.ts";
import type { Step } from "./types.ts";

/**
 * Steps that put a tap in front of the container's interface: what arrives on one leaves by the
 * other, and the namespace's own stack never sees it.
 *
 * In a namespace that others may be in, a pod's, that would make those deaf: whatever they send, the
 * answer would go to the guest. There they keep what is for their sockets, and all have the one
 * address of the pod, as containers have that are no guests. In a namespace of its own the guest gets
 * everything: nobody else is there but its monitor, which has no need to hear.
 *
 * The tap is persistent and owned by the monitor's user, so that an unprivileged monitor attaches
 * by name (drivers/net/tun.c, tun_not_capable: owner and group must both match when both are set).
 */
export function planNetwork(
  network: NetworkFacts,
  { user, shared }: { user: { uid: number; gid: number }; shared: boolean },
): Step[] {
  return [
    { step: "removeStaleTap", name: TAP_NAME },
    { step: "createTap", name: TAP_NAME, uid: user.uid, gid: user.gid, mtu: network.mtu },
    { step: "linkUp", name: TAP_NAME },
    { step: shared ? "share" : "redirect", from: network.name, to: TAP_NAME },
    { step: "redirect", from: TAP_NAME, to: network.name },
  ];
}

/** The addresses of the container's interface as the guest takes them over. */
export function guestNetwork(network: NetworkFacts): GuestNetwork {
  const guest: GuestNetwork = { mac: network.mac, mtu: network.mtu };
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
  return guest;
}
