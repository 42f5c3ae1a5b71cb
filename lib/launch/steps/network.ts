import { readOwnProcess } from "../../host/process.ts";
import { createTap, removeStaleTap } from "../../network/tap.ts";
import { linkUp } from "../../network/link.ts";
import { redirectIngress, shareIngress } from "../../network/redirect.ts";
import type { StepHandlers } from "../perform.ts";

/** The tap, and tc both ways. All in the network namespace of the calling thread. */
export const NETWORK_STEPS: StepHandlers<
  "removeStaleTap" | "createTap" | "redirect" | "share" | "linkUp"
> = {
  removeStaleTap({ name }) {
    removeStaleTap(name);
  },

  createTap({ name, uid, gid, mtu }) {
    // Not a part of the plan: which process performs it is known only here.
    createTap({ name, uid, gid, mtu, owner: readOwnProcess() });
  },

  redirect({ from, to }) {
    redirectIngress({ from, to });
  },

  share({ from, to }) {
    shareIngress({ from, to });
  },

  linkUp({ name }) {
    linkUp(name);
  },
};
