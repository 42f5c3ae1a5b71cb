import type { configurationKeys, configurationTables, KeyValues } from "./keys.ts";

/** The values of {@linkcode configurationTables}. */
export type TableValues = {
  [Table in keyof typeof configurationTables]: KeyValues<typeof configurationTables[Table]>;
};

/** What the operator of a node decides: `/etc/urunc/config.toml`, every key of `keys.ts` or its default. */
export interface Configuration extends KeyValues<typeof configurationKeys>, TableValues {
  monitors: Record<string, MonitorConfiguration>;
  /** What of the file is ignored, a sentence each. */
  warnings?: string[];
}

export interface MonitorConfiguration {
  /** Absolute path of the monitor's binary; undefined: looked up by name. */
  path?: string;
  /** In place of the keys of these names above. */
  default_memory_mib?: number;
  default_vcpus?: number;
  /** Capability names (`CAP_…`) the monitor keeps. Empty by default. */
  capabilities: string[];
  /** Names of system calls that its filter allows besides those of its table. Empty by default. */
  system_calls?: string[];
  /** The host's kernel moves the packets of its guests. False by default. */
  vhost?: boolean;
  /** Absolute paths of firmware by name; undefined: looked up where distributions keep it. */
  firmware?: Readonly<Record<string, string | undefined>>;
  /** Host directories or files bound read-only into the clean room besides the monitor's own. */
  data_paths: string[];
}

/**
 * How a monitor gets at devices: by nodes made for its container alone, by the host's own nodes, or by
 * descriptors that init has opened, with no node at all.
 */
export type DeviceAccess = Configuration["device_access"];
