import { O_CLOEXEC, O_RDONLY, open } from "../../../ffi/linux.ts";
import { USER_NAMESPACE } from "../../plan/user_namespace.ts";
import type { StepHandlers } from "../context.ts";
import { makeUserNamespace } from "../user_namespace.ts";

/**
 * The monitor's user namespace, which the monitor's process enters (`monitor.ts`): a process of several
 * threads, as this one is, cannot (setns(2)).
 */
export const USER_NAMESPACE_STEPS: StepHandlers<"makeUserNamespace" | "openUserNamespace"> = {
  makeUserNamespace({ uidMappings: uids, gidMappings: gids }, context) {
    context.opened.set(USER_NAMESPACE, makeUserNamespace(context.programs!, { uids, gids }));
  },

  openUserNamespace({ path }, context) {
    context.opened.set(USER_NAMESPACE, open(path, O_RDONLY | O_CLOEXEC));
  },
};
