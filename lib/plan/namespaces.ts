import { hasUserNamespace } from "../oci/id_mappings.ts";
import type { NamespaceType, Spec } from "../oci/types.ts";
import type { MonitorNamespace } from "../host/namespaces.ts";
import { type InitNamespace, type LaunchPlan, PLAN_VERSION, type Step } from "./types.ts";

/** The namespaces that are joined or created as config.json says, in that order. */
const JOINED: Exclude<InitNamespace, "mount">[] = ["cgroup", "ipc", "uts", "network"];

/**
 * The first plan: everything before the runtime's hooks, which may attach a network.
 *
 * The process joined its cgroups before this plan starts: a cgroup namespace unshared earlier would
 * have the wrong root.
 */
export function planNamespaces(spec: Spec): LaunchPlan {
  const steps: Step[] = [];
  // Before the container's processes can see this one: in a shared PID namespace, others
  // with the same uid could otherwise reach the host through its /proc/PID (CVE-2016-9962) or write
  // to the executable that it runs (CVE-2019-5736).
  steps.push({ step: "undumpable" });
  // A new session, so that signals of the caller's terminal do not reach the monitor.
  // EPERM: a new process group leader already is one.
  steps.push({ step: "setsid", tolerate: ["EPERM"] });
  if (spec.process.oomScoreAdj !== undefined) {
    steps.push({ step: "oomScoreAdj", value: spec.process.oomScoreAdj });
  }

  for (const type of JOINED) {
    const namespace = namespaceOf(spec, type);
    if (namespace?.path !== undefined) steps.push({ step: "setns", type, path: namespace.path });
  }
  steps.push({ step: "unshare", namespaces: newNamespaces(spec) });

  // Before the first mount: mounts from here on must not propagate to the host.
  steps.push({ step: "privatePropagation" });

  if (isNew(spec, "uts")) {
    if (spec.hostname) steps.push({ step: "hostname", name: spec.hostname });
    if (spec.domainname) steps.push({ step: "domainname", name: spec.domainname });
  }
  for (const [key, value] of Object.entries(spec.linux.sysctl)) {
    steps.push({ step: "sysctl", key, value });
  }
  return { version: PLAN_VERSION, phase: "namespaces", steps };
}

/** What a guest can be called: hostname(7); 64 is HOST_NAME_MAX of Linux. */
const HOSTNAME = /^[A-Za-z0-9_.-]{1,64}$/;

/**
 * Gives a container the name of the UTS namespace that it joins, a pod's: containerd writes the name
 * into the sandbox's config.json only. A namespace without a proper name, as the kernel's "(none)", has
 * none for the guest either.
 *
 * @param hostname of that namespace; undefined: it is not known yet
 */
export function withJoinedHostname(spec: Spec, hostname: string | undefined): Spec {
  const isJoined = namespaceOf(spec, "uts")?.path !== undefined;
  const isNamed = hostname !== undefined && HOSTNAME.test(hostname);
  return spec.hostname === undefined && isJoined && isNamed ? { ...spec, hostname } : spec;
}

/** The PID namespace that init is created in; the creator prepares it before it spawns init. */
export type PidNamespace = { kind: "new" } | { kind: "join"; path: string };

/** The PID namespace: a new one unless config.json names one. */
export function planPidNamespace(spec: Spec): PidNamespace {
  const path = namespaceOf(spec, "pid")?.path;
  return path === undefined ? { kind: "new" } : { kind: "join", path };
}

/**
 * The namespaces of the monitor alone. A guest uses nothing of the container's, but a monitor that was
 * taken over would: other containers of the pod by their loopback, abstract sockets and System V IPC.
 *
 * The PID namespace of a container that shares it with nobody has the monitor's process only, beside the
 * container's own. One that a container with a user namespace shares mostly belongs to that: there the
 * monitor's process makes it, where it is in that user namespace (`user_namespace.ts`). One of another
 * cannot, nor can init; such a monitor stays in the shared one.
 *
 * @param opensTap whether the monitor opens its tap by name, which it can do only where the tap is
 */
export function monitorNamespaces(spec: Spec, opensTap: boolean): MonitorNamespace[] {
  return [
    ...(opensTap ? [] : ["network"] as const),
    "ipc",
    ...(sharesPids(spec) && !hasUserNamespace(spec.linux) ? ["pid"] as const : []),
  ];
}

/** True when the container joins a PID namespace, which others may use. */
export function sharesPids(spec: Spec): boolean {
  return planPidNamespace(spec).kind === "join";
}

/**
 * A mount namespace is always created, from the runtime's own: without one the host's root would be
 * changed. A named one is not entered. Nothing of its tree would be used, since the monitor gets a new
 * root, and root.path and the hooks are paths of the runtime (config.md). But a process in it could
 * put files in the way of what is done as root until then.
 */
function newNamespaces(spec: Spec): InitNamespace[] {
  return [...JOINED.filter((type) => isNew(spec, type)), "mount"];
}

function namespaceOf(spec: Spec, type: NamespaceType) {
  return spec.linux.namespaces.find((namespace) => namespace.type === type);
}

/**
 * By the specification, a namespace that config.json does not list is the runtime's own. The guest
 * could not use it, but its monitor could: signal host processes with its uid, listen in the host's
 * network. So it gets a new one. The cgroup namespace shows nothing without a cgroup file system, and
 * is created only when it is listed.
 */
function isNew(spec: Spec, type: NamespaceType): boolean {
  const namespace = namespaceOf(spec, type);
  return namespace === undefined ? type !== "cgroup" : namespace.path === undefined;
}

/** True when the container joins a network namespace, which others may use. */
export function sharesNetwork(spec: Spec): boolean {
  return namespaceOf(spec, "network")?.path !== undefined;
}

/** True when the container has a network: without a listed namespace it has none. */
export function hasOwnNetwork(spec: Spec): boolean {
  return namespaceOf(spec, "network") !== undefined;
}
