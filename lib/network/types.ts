import type { InterfaceAddress } from "../protocol/netlink/address.ts";
import type { StaticRoute } from "../protocol/netlink/route.ts";
import type { TapOwner } from "./owner.ts";
/** The container's interface: the one that the default route leaves by. */
export interface NetworkFacts {
  /** Interface name in the container's network namespace; seldom other than `eth0`. */
  name: string;
  index: number;
  /** `02:42:0a:58:03:07` */
  mac: string;
  /** Bytes. */
  mtu: number;
  addresses: InterfaceAddress[];
  /** IPv6; undefined where IPv6 is off. */
  linkLocal?: string;
  gateway?: { inet?: string; inet6?: string };
  /** Routes by it that somebody has set, besides the default ones; absent when there are none. */
  routes?: StaticRoute[];
  /** Names of others with an address; absent when there are none. */
  others?: string[];
  /** Whether IPv4 packets that come in by it and are for another address are forwarded. */
  forwarding?: boolean;
  /** Of the tap that is in the namespace already. */
  tapOwner?: TapOwner;
}
