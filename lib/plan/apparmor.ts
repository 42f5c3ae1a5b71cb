import { HostError } from "../errors.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Step } from "./types.ts";

/**
 * The AppArmor profile of the spec, for the monitor: docker and Kubernetes send their default
 * profile on every host that has AppArmor.
 *
 * The kernel remembers it for the next execve of this thread, so it is set after the hooks, which
 * would otherwise be confined by it, and while /proc is there. It may be entered under no_new_privs,
 * because init is unconfined (security/apparmor/domain.c, apparmor_bprm_creds_for_exec).
 *
 * Throws HostError when a profile is asked for and the kernel has no AppArmor: a container that should
 * be confined must not run unconfined.
 */
export function planAppArmor(profile: string | undefined, facts: HostFacts): Step[] {
  if (!profile) return [];
  if (facts.apparmor) return [{ step: "apparmorProfile", profile }];
  if (profile === "unconfined") return [];
  throw new HostError({
    operation: "plan AppArmor profile",
    subject: profile,
    reason: "process.apparmorProfile asks for it, and this kernel has no AppArmor",
    remedy: "boot with apparmor=1, or run the container without a profile (docker: " +
      "--security-opt apparmor=unconfined)",
  });
}
