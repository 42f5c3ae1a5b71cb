import type { InterfaceAddress } from "../protocol/netlink/address.ts";
import type { StaticRoute } from "../protocol/netlink/route.ts";
import type { TapOwner } from "./owner.ts";

/** An interface of the container's, which a guest can take over. */
export interface InterfaceFacts {
  /** Its name in the container's network namespace; seldom other than `eth0`. */
  name: string;
  index: number;
  /** `02:42:0a:58:03:07` */
  mac: string;
  /** Bytes. */
  mtu: number;
  addresses: InterfaceAddress[];
  /** IPv6; undefined where IPv6 is off. */
  linkLocal?: string;
  /** Of its default routes. */
  gateway?: { inet?: string; inet6?: string };
  /** Of the same, where it is not the kernel's own. */
  metric?: { inet?: number; inet6?: number };
  /** Routes by it that somebody has set, besides the default ones; absent when there are none. */
  routes?: StaticRoute[];
}

/** The container's interfaces; the first is the one that the default route leaves by. */
export interface NetworkFacts extends InterfaceFacts {
  /** Others that a guest with several interfaces takes over as well; absent when there are none. */
  further?: InterfaceFacts[];
  /** Those with an address that the guest does not take over; absent when there are none. */
  others?: OtherInterface[];
  /** No default route says which is the first: a guest with one interface has none. */
  isAmbiguous?: true;
  /** Whether IPv4 packets that come in by it and are for another address are forwarded. */
  forwarding?: boolean;
  /** Those that are in the namespace already; absent when there are none. */
  taps?: FoundTap[];
  /** Interfaces whose incoming packets are redirected to a guest already; absent when there are none. */
  redirected?: string[];
}

/** An interface that is not connected. */
export interface OtherInterface {
  name: string;
  /** Undefined: the guest has one interface. */
  reason?: string;
}

/** A tap of a guest, which may have ended. */
export interface FoundTap {
  name: string;
  /** Undefined for one that says nothing of it. */
  owner?: TapOwner;
}
