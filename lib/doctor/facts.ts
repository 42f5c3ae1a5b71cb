import type { DeviceFacts, KvmFacts } from "../host/types.ts";
import type { Configuration } from "../config/types.ts";
import type { Finding } from "../config/check.ts";

/** Changes when a report of an older version cannot be compared any more. */
export const REPORT_VERSION = 1;

/**
 * What `urunc doctor` knows of a node: plain JSON, so that a report can be kept and compared. What cannot be
 * read is left out, or says why.
 */
export interface NodeFacts {
  urunc: UruncFacts;
  kernel: KernelFacts;
  kvm: KvmFacts;
  processor: ProcessorFacts;
  tun?: DeviceFacts;
  vhostNet?: DeviceFacts;
  /** Names of the groups that devices belong to, by id. */
  groupNames: Record<number, string>;
  configuration: ConfigurationFacts;
  /** By name; each of the registry. */
  monitors: Record<string, MonitorSurvey>;
  /** By `MONITOR.KIND`. */
  firmware: Record<string, Found>;
  /** Kernels that were added to this node; undefined: it has no directory of them. */
  kernels?: { names: string[]; problem?: Problem };
  cgroups: CgroupFacts;
  security: SecurityFacts;
  /** What serves files of the host to guests. */
  fileServer: Found;
  /** What runs containers that are not guests. */
  runtime: Found & { program: string };
  containerd?: ContainerdFacts;
  docker?: DockerFacts;
  crio?: CrioFacts;
  podman?: PodmanFacts;
  kubelet?: KubeletFacts;
  cni: CniFacts;
  /** Containers of urunc, by directory and id. */
  containers: ContainerFacts[];
  /** Who else has ids of `ids.range`; undefined: nobody, or there is no range. */
  rangeOwner?: string;
  /** Ranges of /etc/subuid. */
  subordinateIds: IdRange[];
}

/** Why something could not be found or used: the parts of an error. */
export interface Problem {
  reason: string;
  remedy?: string;
}

/** A program or file of the host. */
export interface Found {
  path?: string;
  version?: string;
  /** Undefined: it was found, and can be used. */
  problem?: Problem;
}

export interface UruncFacts {
  version: string;
  commit: string;
  /** This executable. */
  executable: string;
  /** What the shim's name leads to in the directories where containerd looks; undefined: nothing. */
  shim?: { path: string; isThisExecutable: boolean };
}

export interface KernelFacts {
  release: string;
  machine: string;
  /** It can filter system calls. */
  seccomp: boolean;
  /** Version of Landlock's interface; 0: none. */
  landlock: number;
}

export interface ProcessorFacts {
  vendor?: string;
  /** This machine is itself a virtual one. */
  isGuest: boolean;
  /** The processor's own virtualisation is there; KVM without it is emulated. */
  hasVirtualisation: boolean;
}

export interface ConfigurationFacts {
  path: string;
  isThere: boolean;
  findings: Finding[];
  /** What holds; the defaults where the file cannot be read. */
  values: Configuration;
}

export interface MonitorSurvey extends Found {
  /** Debian's. */
  package?: string;
  needsKvm: boolean;
  takesDescriptors: boolean;
}

export interface CgroupFacts {
  mode: "v1" | "v2" | "hybrid" | "none";
  /** Of all hierarchies, sorted. */
  controllers: string[];
  /** systemd is this machine's init. */
  systemd: boolean;
}

export interface SecurityFacts {
  apparmor: boolean;
  selinux?: "enforcing" | "permissive";
}

/** containerd's configuration, as it reads it itself. */
export interface ContainerdFacts {
  version?: string;
  path: string;
  /** It cannot be read. */
  problem?: Problem;
  criDisabled: boolean;
  /** Of pods, by the handler that a RuntimeClass names. */
  runtimes: Record<string, ContainerdRuntime>;
  snapshotter?: string;
  cni: { binaries: string; configuration: string };
  devmapper?: { pool: string; status?: string; problem?: Problem };
}

export interface ContainerdRuntime {
  type: string;
  systemdCgroup: boolean;
  privilegedWithoutHostDevices: boolean;
  podAnnotations: string[];
  containerAnnotations: string[];
}

export interface DockerFacts {
  path: string;
  isThere: boolean;
  problem?: Problem;
  /** By name, of the file. */
  runtimes: Record<string, { path?: string; type?: string; isExecutable?: boolean }>;
  /** Names that the running daemon knows; undefined: it does not answer. */
  running?: { runtimes: string[]; version: string; cgroupDriver: string };
  cgroupDriver?: string;
}

export interface CrioFacts {
  problem?: Problem;
  runtimes: Record<
    string,
    { path: string; type: string; isExecutable: boolean; allowedAnnotations: string[] }
  >;
  cgroupManager?: string;
}

export interface PodmanFacts {
  version?: string;
  problem?: Problem;
  /** Paths by name, of the files of containers.conf(5). */
  runtimes: Record<string, string[]>;
  cgroupManager?: string;
}

export interface KubeletFacts {
  path: string;
  cgroupDriver: string;
}

export interface CniFacts {
  /** Directories that were looked in. */
  configuration: string;
  binaries: string;
  /** The network that pods get: the first file by name. */
  network?: { file: string; name: string; missing: string[]; problem?: Problem };
}

export interface ContainerFacts {
  root: string;
  id: string;
  /** `damaged`: it has a state that cannot be read, or none. */
  status: string;
}

export interface IdRange {
  name: string;
  start: number;
  count: number;
}
