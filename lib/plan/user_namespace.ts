import type { Configuration } from "../config/types.ts";
import { UnsupportedError } from "../errors.ts";
import { sharesPids } from "./namespaces.ts";
import { hasUserNamespace } from "../oci/id_mappings.ts";
import type { IdMaps, Spec } from "../oci/types.ts";
import type { Step } from "./types.ts";

/** Name of the descriptor of the monitor's user namespace. */
export const USER_NAMESPACE = "user";

/**
 * What the monitor's process enters a user namespace with. An exec leaves it, so it is ambient
 * (capabilities(7)), from right before that process is started until it was.
 */
const ENTERS_USER_NAMESPACE = ["CAP_SYS_ADMIN"];

/** A monitor's user namespace. */
export interface PlannedUserNamespace extends IdMaps {
  /** Of one that is there already, as the other containers of a pod have it. */
  path?: string;
}

/** What the decision depends on. */
export interface UserNamespaceInput {
  /** Its user is who the monitor is. */
  spec: Spec;
  configuration: Pick<Configuration, "ids">;
  /** That the operator lets the monitor keep. */
  capabilities: string[];
  monitor: { name: string };
}

/**
 * The user namespace of a monitor: config.json's, where the monitor is the container's user. One that is a
 * user of its own has no mapping there; it gets a namespace that has only this user, under its own number.
 *
 * One that is made is a uid's that nobody has (NAMESPACE_OWNER of lib/host/id_maps.ts), neither the
 * monitor's nor root's: each process of its owner's uid outside of it has every capability over it
 * (user_namespaces(7), "Capabilities", point 3), even one of uid 0 that has none besides. One that is joined
 * is whose it is; container runtimes make them as root.
 *
 * @returns undefined when neither config.json nor the operator asks for one
 * @throws UnsupportedError when the operator lets the monitor keep capabilities, which would be of that
 *   namespace alone
 */
export function planUserNamespace(input: UserNamespaceInput): PlannedUserNamespace | undefined {
  const { spec: { linux, process: { user } }, configuration: { ids } } = input;
  if (!hasUserNamespace(linux) && ids.mode !== "userns") return undefined;
  refuseCapabilities(input);
  if (ids.mode !== "container") return { uids: [alone(user.uid)], gids: [alone(user.gid)] };
  const path = linux.namespaces.find(({ type }) => type === "user")?.path;
  const maps = { uids: linux.uidMappings, gids: linux.gidMappings };
  return path === undefined ? maps : { ...maps, path };
}

/**
 * Whether the monitor's process makes a PID namespace in its user namespace: below a shared one that
 * belongs to the same. init, outside of it, cannot (create_pid_namespace() in kernel/pid_namespace.c).
 */
export function makesPidNamespace(spec: Spec, planned: PlannedUserNamespace | undefined): boolean {
  return planned?.path !== undefined && sharesPids(spec);
}

function alone(id: number) {
  return { containerID: id, hostID: id, size: 1 };
}

function refuseCapabilities({ capabilities, monitor }: UserNamespaceInput): void {
  if (capabilities.length === 0) return;
  throw new UnsupportedError({
    operation: "plan the monitor's user namespace",
    subject: `monitors.${monitor.name}.capabilities`,
    reason: "in a user namespace a monitor has no capability over what is the host's",
    remedy: "leave them out, or run the container without a user namespace",
  });
}

/** Opens it, as root of the host, which alone may write such mappings. */
export function openUserNamespace(planned: PlannedUserNamespace | undefined): Step[] {
  if (planned === undefined) return [];
  const { path, uids, gids } = planned;
  return path === undefined
    ? [{ step: "makeUserNamespace", uidMappings: uids, gidMappings: gids }]
    : [{ step: "openUserNamespace", path }];
}

/** Capabilities that the monitor's process is started with, to enter it. */
export function entering(planned: PlannedUserNamespace | undefined): string[] {
  return planned === undefined ? [] : ENTERS_USER_NAMESPACE;
}
