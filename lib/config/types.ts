import type { FirmwareKind } from "../monitor/types.ts";

/** What the operator of a node decides: `/etc/urunc/config.toml`, every key optional. */
export interface Configuration {
  /**
   * How the monitor gets at device nodes. `private`: nodes made for this container alone and owned
   * by the monitor's user. `groups`: nodes with the host's owner and mode, so that the host's group
   * check decides. `fd`: no nodes, but descriptors that are open already.
   */
  device_access: DeviceAccess;
  /** `tcg` lets guests run without KVM on this node. */
  accelerator: "kvm" | "tcg";
  /** Guest memory in MiB when the container has no memory limit. */
  default_memory_mib: number;
  /** Which containers share a shim: each alone or with its pod, or all of a containerd namespace. */
  shim_group: "container" | "namespace";
  /** OCI runtime of the containers that are not guests: a name on PATH, or an absolute path. */
  oci_runtime: string;
  monitors: Record<string, MonitorConfiguration>;
}

export interface MonitorConfiguration {
  /** Absolute path of the monitor's binary; undefined: looked up by name. */
  path?: string;
  /** Capability names (`CAP_…`) the monitor keeps. Empty by default. */
  capabilities: string[];
  /** Absolute paths of firmware by kind; undefined: looked up where distributions keep it. */
  firmware?: Partial<Record<FirmwareKind, string>>;
  /** Host directories or files bound read-only into the clean room besides the monitor's own. */
  data_paths: string[];
}

/**
 * How a monitor gets at devices: by nodes made for its container alone, by the host's own nodes, or by
 * descriptors that init has opened, with no node at all.
 */
export type DeviceAccess = "private" | "groups" | "fd";
