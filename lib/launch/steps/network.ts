import { createTap, removeTap } from "../../network/tap.ts";
import { linkUp } from "../../network/link.ts";
import { redirectIngress } from "../../network/redirect.ts";
import type { StepHandlers } from "../perform.ts";

/** The tap, and tc both ways. All in the network namespace of the calling thread. */
export const NETWORK_STEPS: StepHandlers<
  "removeStaleTap" | "createTap" | "redirect" | "linkUp"
> = {
  removeStaleTap({ name }) {
    removeTap(name);
  },

  createTap({ name, uid, gid, mtu }) {
    createTap({ name, uid, gid, mtu });
  },

  redirect({ from, to }) {
    redirectIngress({ from, to });
  },

  linkUp({ name }) {
    linkUp(name);
  },
};
