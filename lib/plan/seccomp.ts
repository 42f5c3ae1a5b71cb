import type { Configuration } from "../config/types.ts";
import type { AgentChannel, Monitor } from "../monitor/types.ts";
import type { CallFilter, Feature, TableName } from "../seccomp/types.ts";

/** Names of the descriptors from which the monitor's and the container's process read their filters. */
export const MONITOR_FILTER = "monitorFilter";
export const WAITER_FILTER = "waiterFilter";
export const FILE_SERVER_FILTER = "fileServerFilter";

/** What filters depend on. */
export interface FiltersInput {
  monitor: Pick<Monitor, "name">;
  configuration: Configuration;
  accelerator: "kvm" | "tcg";
  /** The guest has a network, and its monitor opens the tap by its name. */
  namedTap: boolean;
  /** How the guest's agent is reached; undefined: it has none. */
  agent: AgentChannel | undefined;
  /** The container's process asks a name server for it. */
  dns: boolean;
  /** The guest sees files of the host. */
  files: boolean;
  /** The kernel moves the guest's packets. */
  vhost: boolean;
  /** Their owners are those that the guest says. */
  mapsOwners: boolean;
}

/** The filters of one container. */
export interface Filters {
  /** Of init, from the barrier on, and below the next. */
  init: CallFilter;
  /** Of the container's process, when the monitor was executed. */
  waiter: CallFilter;
  /** Of the monitor, from its exec on. */
  monitor: CallFilter;
  /** The same of the file server, if there is one. */
  fileServer?: CallFilter;
}

/** @returns undefined when the operator wants none */
export function planFilters(input: FiltersInput): Filters | undefined {
  const { monitor, configuration, accelerator, namedTap, agent, dns, files, vhost, mapsOwners } =
    input;
  const mode = configuration.seccomp;
  if (mode === "off") return undefined;
  const vsock: Feature[] = agent === "vsock" ? ["vsock"] : [];
  const features: Feature[] = [
    accelerator === "kvm" ? "kvm" : "translation",
    ...(namedTap ? ["namedTap" as const] : []),
    ...vsock,
    ...(files ? ["files" as const] : []),
    ...(vhost ? ["vhost" as const] : []),
  ];
  const allowed = configuration.monitors[monitor.name]?.system_calls ?? [];
  const own: Feature[] = [
    ...(agent === undefined ? [] : ["agent" as const]),
    ...(dns ? ["dns" as const] : []),
    ...vsock,
  ];
  return {
    init: { tables: ["init", "waiter"], features: own, mode, allowed: [] },
    waiter: { tables: ["waiter"], features: own, mode, allowed: [] },
    monitor: { tables: [tableName(monitor.name)], features, mode, allowed },
    ...(files && {
      fileServer: {
        tables: ["virtiofsd"],
        features: mapsOwners ? ["owners"] : [],
        mode,
        allowed: [],
      } as CallFilter,
    }),
  };
}

/** The filter of the relay of a further process. @returns undefined when the operator wants none */
export function planRelayFilter({ seccomp }: Configuration): CallFilter | undefined {
  if (seccomp === "off") return undefined;
  return { tables: ["relay"], features: [], mode: seccomp, allowed: [] };
}

/** A test holds that each monitor has a table. */
function tableName(monitor: string): TableName {
  return monitor as TableName;
}
