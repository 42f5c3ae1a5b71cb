import { O_CLOEXEC, O_RDONLY, open } from "../../../ffi/linux.ts";
import { USER_NAMESPACE } from "../../plan/user_namespace.ts";
import type { StepHandlers } from "../context.ts";
import { makeUserNamespace } from "../user_namespace.ts";

/**
 * User namespaces that the monitor's process enters (`monitor.ts`), and the file server's: a process of several
 * threads, as this one is, cannot (setns(2)).
 */
export const USER_NAMESPACE_STEPS: StepHandlers<"makeUserNamespace" | "openUserNamespace"> = {
  makeUserNamespace({ name = USER_NAMESPACE, ...asked }, context) {
    const { uidMappings: uids, gidMappings: gids, setsGroups } = asked;
    const fd = makeUserNamespace(context.programs!, { uids, gids }, setsGroups);
    context.opened.set(name, fd);
  },

  openUserNamespace({ path }, context) {
    context.opened.set(USER_NAMESPACE, open(path, O_RDONLY | O_CLOEXEC));
  },
};
