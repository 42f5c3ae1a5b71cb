import { readOwnProcess } from "../../os/process.ts";
import { attachTap, createTap, removeStaleTap } from "../../network/tap.ts";
import { setForwarding } from "../../network/forwarding.ts";
import { giveAddress, linkUp } from "../../network/link.ts";
import { masquerade } from "../../network/masquerade.ts";
import {
  filterGuest,
  redirectIngress,
  removeIngress,
  shareIngress,
} from "../../network/redirect.ts";
import type { StepHandlers } from "../context.ts";

/** The tap, and how packets reach it. All in the network namespace of the calling thread. */
export const NETWORK_STEPS: StepHandlers<
  | "removeStaleTap"
  | "removeIngress"
  | "createTap"
  | "attachTap"
  | "redirect"
  | "share"
  | "filter"
  | "linkUp"
  | "giveAddress"
  | "forward"
  | "masquerade"
> = {
  removeStaleTap({ name, owner }) {
    removeStaleTap(name, owner);
  },

  removeIngress({ from }) {
    removeIngress(from);
  },

  createTap({ name, uid, gid, mtu, cgroup }) {
    // Not a part of the plan: which process performs it is known only here.
    createTap({ name, uid, gid, mtu, owner: { ...readOwnProcess(), cgroup } });
  },

  attachTap({ name, tap }, context) {
    context.opened.set(name, attachTap(tap));
  },

  redirect({ from, to }) {
    redirectIngress({ from, to });
  },

  share({ from, to }) {
    shareIngress({ from, to });
  },

  filter({ from, to, mac, addresses }) {
    filterGuest({ from, to, mac, addresses });
  },

  giveAddress({ name, address, prefixLength }) {
    giveAddress(name, { address, prefixLength });
  },

  forward({ name }) {
    setForwarding(name, true);
  },

  masquerade({ address, prefixLength, to }) {
    masquerade({ address, prefixLength, to });
  },

  linkUp({ name }) {
    linkUp(name);
  },
};
