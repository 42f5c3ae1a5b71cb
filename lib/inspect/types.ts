import type { IdMaps } from "../oci/types.ts";
import type { Guarded } from "../host/access.ts";
import type { KernelFormat } from "../guest/kernel/types.ts";
import type { MountedDisk } from "../block/types.ts";
import type { CgroupLayout, DeviceFacts, KvmFacts, MonitorFacts } from "../host/types.ts";

/** A disk for the guest, inspected before anything is decided. */
export interface DiskFacts {
  /** `rootfs`, `block`, or after a volume's place; a guest sees it as the disk's serial number. */
  name: string;
  source: DiskSource;
  readOnly: boolean;
  /** As /proc/filesystems names it, when it is known. */
  fileSystem?: string;
  /** Where the guest is to mount it, `/` for its root; undefined when the guest decides. */
  mountPoint?: string;
}

/** What a disk's content is kept in. */
export type DiskSource =
  | { kind: "device"; device: DeviceFacts }
  /** Inside the image, and opened inside it. */
  | { kind: "imageFile"; file: ImageFileFacts }
  /** By a path of the host, which the caller named. */
  | { kind: "hostFile"; file: VolumeFacts };

/** A regular file of the host. */
export type VolumeFacts = ImageFileFacts & Guarded & {
  /** Who the owners on its disk are on the host, when its mount maps them. */
  maps?: IdMaps;
};

/** All that planning may know of the machine; gathered before any decision is made. */
export interface HostFacts {
  kvm: KvmFacts;
  tun?: DeviceFacts;
  /** When the operator wants it. */
  vhostNet?: DeviceFacts;
  /** Names of the groups that device nodes belong to, when errors may need them. */
  groupNames?: Record<number, string>;
  cgroups: CgroupLayout;
  /** AppArmor is among the running kernel's security modules. */
  apparmor?: boolean;
  /** Filters of system calls that this process is in; 0 when not given. */
  seccompFilters?: number;
  /** Host files that the monitor is loaded with. */
  libraries: string[];
  monitor: MonitorFacts;
  /** Of the image; of `nodeKernel`, by its absolute path on the host. */
  kernel: ImageFileFacts;
  /** The kernel is one of the node's. */
  nodeKernel?: NodeKernelFacts;
  /** What the kernel is, by its own headers. */
  kernelFormat: KernelFormat;
  initrd?: ImageFileFacts & {
    /** It is an archive that Linux unpacks, and no file system. */
    isInitramfs?: boolean;
  };
  /** In the order in which the guest counts them. */
  disks?: DiskFacts[];
  /** The container's root is a file system of its own on a block device, which the guest is to have. */
  rootDisk?: MountedDisk;
  /**
   * The container's root is shared with the guest as its own; whether its mount may only be read, and whether
   * that has its owners mapped by the time it is shared, where they are to be.
   */
  sharedRoot?: { readOnly: boolean; isMapped?: true };
  /** Volumes that are shared with the guest, in config.json's order. */
  sharedMounts?: SharedMountFacts[];
  /** What serves them, where anything is shared. */
  fileServer?: FileServerFacts;
  /** Volumes that are copied into the guest's memory when it starts, in config.json's order. */
  copiedMounts?: CopiedMountFacts[];
  /** The container's `/etc/resolv.conf`, for guests that take name servers. */
  resolvConf?: string;
  /** What its caller mounts as its `/etc/hosts`, for guests with an agent. */
  hosts?: string;
  /** Settings of the kernel that its pod asks for, for guests with an agent; undefined: none. */
  podSysctls?: Record<string, string>;
}

/** A program that serves files of the host to a guest; absolute paths, symlinks resolved. */
export interface FileServerFacts {
  binary: string;
  libraries: string[];
  /** How many files it may have open. */
  openFiles: number;
}

/** A volume that is shared with a guest. */
export interface SharedMountFacts {
  /** In config.json's `mounts`. */
  index: number;
  /** It is a regular file, and not a directory. */
  isFile: boolean;
  /** A path of it on the host that the program is root for, and the file server may not read. */
  closed?: string;
}

/** A volume that a guest gets a copy of. */
export interface CopiedMountFacts extends Pick<SharedMountFacts, "index" | "isFile"> {
  /** Size of the archive that has it. */
  bytes: number;
}

/** A kernel of the node. */
export interface NodeKernelFacts {
  name: string;
  /** It has no driver for files that are shared with it. */
  lacksFiles?: true;
  /** Of the file that is started, in hexadecimal. */
  sha256: string;
  /** The archive with its modules, by its absolute path on the host. */
  modules?: ImageFileFacts;
}

/** A regular file inside an image, opened safely and inspected. */
export interface ImageFileFacts {
  /** As the image names it. */
  path: string;
  /** Bytes. */
  size: number;
  uid: number;
  gid: number;
  mode: number;
}
