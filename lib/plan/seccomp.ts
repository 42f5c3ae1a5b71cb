import type { Configuration } from "../config/types.ts";
import type { Monitor } from "../monitor/types.ts";
import { type CallFilter, type Feature, FEATURES, type TableName } from "../seccomp/types.ts";

/** Names of the descriptors from which the container's process reads filters. */
export const MONITOR_FILTER = "monitorFilter";
export const WAITER_FILTER = "waiterFilter";

/** What filters depend on. */
export interface FiltersInput {
  monitor: Pick<Monitor, "name">;
  configuration: Configuration;
  accelerator: "kvm" | "tcg";
  /** The guest has a network, and its monitor opens the tap by its name. */
  namedTap: boolean;
  /** The guest has an agent. */
  agent: boolean;
}

/** The filters of one container: each is below those that come after it. */
export interface Filters {
  /** From the barrier on. */
  init: CallFilter;
  /** Of the monitor, from its exec on. */
  monitor: CallFilter;
  /** Of the container's process, when it has started the monitor. */
  waiter: CallFilter;
}

/** @returns undefined when the operator wants none */
export function planFilters(input: FiltersInput): Filters | undefined {
  const { monitor, configuration, accelerator, namedTap, agent } = input;
  const mode = configuration.seccomp;
  if (mode === "off") return undefined;
  const features: Feature[] = [
    accelerator === "kvm" ? "kvm" : "translation",
    ...(namedTap ? ["namedTap" as const] : []),
  ];
  const allowed = configuration.monitors[monitor.name]?.system_calls ?? [];
  const own = tableName(monitor.name);
  return {
    // Whatever the monitor's arguments are: its own filter looks at those.
    init: { tables: ["init", "waiter", own], features: [...FEATURES], mode, allowed },
    monitor: { tables: [own], features, mode, allowed },
    waiter: { tables: ["waiter"], features: agent ? ["agent"] : [], mode, allowed: [] },
  };
}

/** A test holds that each monitor has a table. */
function tableName(monitor: string): TableName {
  return monitor as TableName;
}
