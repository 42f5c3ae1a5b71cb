import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUTS,
  close,
  mount,
  MS_REC,
  MS_SLAVE,
  O_RDONLY,
  open,
  setdomainname,
  sethostname,
  setns,
  setsid,
  unshare,
} from "../../../ffi/linux.ts";
import { runHooks } from "../../hooks.ts";
import type { InitNamespace } from "../../plan/types.ts";
import type { StepHandlers } from "../context.ts";

/** @see namespaces(7) */
export const CLONE_FLAGS: Record<InitNamespace | "pid", number> = {
  mount: CLONE_NEWNS,
  network: CLONE_NEWNET,
  ipc: CLONE_NEWIPC,
  uts: CLONE_NEWUTS,
  cgroup: CLONE_NEWCGROUP,
  pid: CLONE_NEWPID,
};

/** Namespaces, and what is set in them. */
export const NAMESPACE_STEPS: StepHandlers<
  | "setsid"
  | "oomScoreAdj"
  | "setns"
  | "unshare"
  | "privatePropagation"
  | "hostname"
  | "domainname"
  | "sysctl"
  | "runHooks"
> = {
  setsid() {
    setsid();
  },

  oomScoreAdj({ value }) {
    Deno.writeTextFileSync("/proc/self/oom_score_adj", String(value));
  },

  setns({ type, path }) {
    const fd = open(path, O_RDONLY);
    try {
      setns(fd, CLONE_FLAGS[type]);
    } finally {
      close(fd);
    }
  },

  unshare({ namespaces }) {
    // bitwise or of all flags: one call, so that no step sees half of the namespaces
    unshare(cloneFlags(namespaces));
  },

  privatePropagation() {
    // Slave rather than private: an unmount on the host still reaches us, so that this namespace
    // does not keep another's file system busy; none of ours propagates the other way.
    mount(null, "/", null, MS_REC | MS_SLAVE, null);
  },

  hostname({ name }) {
    sethostname(name);
  },

  domainname({ name }) {
    setdomainname(name);
  },

  sysctl({ key, value }) {
    // A namespaced sysctl's file shows the namespace of the process that opens it.
    Deno.writeTextFileSync(`/proc/sys/${sysctlPath(key)}`, value);
  },

  runHooks({ name, hooks }, context) {
    runHooks(hooks, context.state, { name });
  },
};

/** The flags of all of these, for one call. */
export function cloneFlags(namespaces: readonly (keyof typeof CLONE_FLAGS)[]): number {
  return namespaces.reduce((flags, type) => flags | CLONE_FLAGS[type], 0);
}

/**
 * sysctl(8), "key": the first separator, `.` or `/`, is the separator, and the other one stands for
 * itself then; where `.` separates, a `/` is the dot in the name of an interface (`eth0/1` for
 * `eth0.1`).
 */
function sysctlPath(key: string): string {
  if (key[key.search(/[./]/)] === "/") return key;
  return key.replace(/[./]/g, (separator) => separator === "." ? "/" : ".");
}
