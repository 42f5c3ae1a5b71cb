import type { SeccompProfile } from "../seccomp/profile.ts";

/**
 * The part of the OCI runtime specification's config.json that urunc reads, under the
 * specification's own names. Unknown properties are ignored, as the specification demands
 * (config.md, "Extensibility").
 *
 * @see https://github.com/opencontainers/runtime-spec/blob/v1.2.0/config.md
 */
export interface Spec {
  ociVersion: string;
  hostname?: string;
  domainname?: string;
  root: Root;
  process: Process;
  mounts: Mount[];
  hooks: Hooks;
  annotations: Record<string, string>;
  linux: Linux;
  /** What is in the document and cannot be given to a guest. */
  unsupported: UnsupportedProperties;
}

export interface Root {
  path: string;
  readonly: boolean;
}

export interface Process {
  terminal: boolean;
  consoleSize?: { height: number; width: number };
  user: User;
  args: string[];
  env: string[];
  cwd: string;
  capabilities?: Partial<Record<CapabilitySet, string[]>>;
  rlimits: Rlimit[];
  noNewPrivileges: boolean;
  apparmorProfile?: string;
  selinuxLabel?: string;
  /** -1000 to 1000; undefined leaves the runtime's own value. */
  oomScoreAdj?: number;
}

export type CapabilitySet = "bounding" | "effective" | "inheritable" | "permitted" | "ambient";

export interface User {
  uid: number;
  gid: number;
  /** Undefined means the runtime's default, 0o022. */
  umask?: number;
  additionalGids: number[];
}

export interface Rlimit {
  /** `RLIMIT_NOFILE` and its like. */
  type: string;
  /** Up to 2^64-1 (RLIM_INFINITY), hence bigint. */
  soft: bigint;
  hard: bigint;
}

export interface Mount {
  destination: string;
  type?: string;
  source?: string;
  options: string[];
  /** Who the owners on the disk are on the host, when the mount maps them. */
  maps?: IdMaps;
}

export type HookName =
  | "prestart"
  | "createRuntime"
  | "createContainer"
  | "startContainer"
  | "poststart"
  | "poststop";

export type Hooks = Record<HookName, Hook[]>;

export interface Hook {
  path: string;
  args: string[];
  env: string[];
  /** Seconds; undefined means no limit. */
  timeout?: number;
}

export type NamespaceType =
  | "pid"
  | "network"
  | "mount"
  | "ipc"
  | "uts"
  | "user"
  | "cgroup"
  | "time";

export interface Namespace {
  type: NamespaceType;
  /** Undefined: a new namespace. */
  path?: string;
}

export interface Linux {
  namespaces: Namespace[];
  uidMappings: IdMapping[];
  gidMappings: IdMapping[];
  devices: Device[];
  cgroupsPath?: string;
  resources: Resources;
  seccomp?: SeccompProfile;
  sysctl: Record<string, string>;
  maskedPaths: string[];
  readonlyPaths: string[];
  rootfsPropagation?: string;
  mountLabel?: string;
}

export interface IdMapping {
  containerID: number;
  hostID: number;
  size: number;
}

/** The mappings of a user namespace, or of a mount. */
export interface IdMaps {
  uids: IdMapping[];
  gids: IdMapping[];
}

export interface Device {
  type: string;
  path: string;
  major?: number;
  minor?: number;
  fileMode?: number;
  uid?: number;
  gid?: number;
}

export interface Resources {
  devices: DeviceRule[];
  /** Byte counts; -1 means unlimited, undefined means not set. */
  memory: {
    limit?: number;
    reservation?: number;
    swap?: number;
    kernel?: number;
    kernelTCP?: number;
    swappiness?: number;
    disableOOMKiller?: boolean;
  };
  cpu: {
    shares?: number;
    quota?: number;
    period?: number;
    burst?: number;
    realtimeRuntime?: number;
    realtimePeriod?: number;
    cpus?: string;
    mems?: string;
    idle?: number;
  };
  pids: { limit?: number };
  blockIO: BlockIO;
  hugepageLimits: { pageSize: string; limit: number }[];
  network: Record<string, unknown>;
  rdma?: Record<string, unknown>;
  /** cgroup v2 files, written as they are. */
  unified: Record<string, string>;
}

/** Of block devices; 0 means not set. */
export interface BlockIO {
  /** 10 to 1000. */
  weight?: number;
  leafWeight?: number;
  weightDevice?: WeightedDevice[];
  /** Bytes per second. */
  throttleReadBpsDevice?: ThrottledDevice[];
  throttleWriteBpsDevice?: ThrottledDevice[];
  /** Operations per second. */
  throttleReadIOPSDevice?: ThrottledDevice[];
  throttleWriteIOPSDevice?: ThrottledDevice[];
}

export interface WeightedDevice {
  major: number;
  minor: number;
  weight?: number;
  leafWeight?: number;
}

export interface ThrottledDevice {
  major: number;
  minor: number;
  /** 0 lifts the limit. */
  rate: number;
}

export interface DeviceRule {
  allow: boolean;
  type?: string;
  major?: number;
  minor?: number;
  access?: string;
}

/** Something in config.json that the guest will not get. */
export interface UnsupportedProperty {
  /** JSON path, with what was found where that helps. */
  property: string;
  reason: string;
  remedy?: string;
  /** The program has it all the same in a guest with an agent. */
  givenByAgent?: boolean;
}

/** What is refused, and what is only said; see {@link file://./spec_table.ts the whole table}. */
export interface UnsupportedProperties {
  refused: UnsupportedProperty[];
  warned: UnsupportedProperty[];
}
