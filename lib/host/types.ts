import type { MountedDisk } from "../block/types.ts";

/** A device node of the host, as stat and its access control list tell. */
export interface DeviceFacts {
  path: string;
  /** The host has the device and no node of it; owner and mode are those that one would have. */
  noNode?: true;
  type: "char" | "block";
  major: number;
  minor: number;
  uid: number;
  gid: number;
  /** Permission bits, 0o7777 at most. */
  mode: number;
  /** POSIX access ACL entries, when the node has more than its mode. */
  acl?: AclEntry[];
}

/** @see acl(5), and linux/posix_acl_xattr.h for the binary form */
export interface AclEntry {
  tag: "user_obj" | "user" | "group_obj" | "group" | "mask" | "other";
  /** uid or gid for `user` and `group`. */
  id?: number;
  /** rwx, 0 to 7. */
  permissions: number;
}

export interface KvmFacts {
  /** Undefined when /dev/kvm does not exist. */
  device?: DeviceFacts;
  /** True when a virtual machine could be created on it. */
  usable: boolean;
  /** Why it is not usable, as a sentence fragment. */
  reason?: string;
  apiVersion?: number;
  /** The processor's maker as CPUID leaf 0 names it, when KVM was looked at. */
  processorVendor?: string;
}

export interface CgroupLayout {
  mode: "v1" | "v2" | "hybrid" | "none";
  /** v1: controller name (or `name=systemd`) → mount point. Co-mounted controllers appear once each. */
  v1: Record<string, string>;
  /** Mount point of the cgroup2 tree, and its controllers. */
  v2?: { mountPoint: string; controllers: string[] };
}

/** A directory (or symlink to one) that shared libraries live in. */
export type LibraryDirectory =
  | { path: string; kind: "directory" }
  | { path: string; kind: "symlink"; target: string };

/** A regular file inside an image, opened safely and looked at. */
export interface ImageFileFacts {
  /** As the image names it. */
  path: string;
  /** Bytes. */
  size: number;
  uid: number;
  gid: number;
  mode: number;
}

/** A disk that the guest is to have, looked at before anything is decided. */
export interface DiskFacts {
  /** `rootfs`, `block`, or after a volume's place; a guest sees it as the disk's serial number. */
  name: string;
  source: DiskSource;
  readOnly: boolean;
  /** As /proc/filesystems names it, when it is known. */
  fileSystem?: string;
  /** Where the guest is to mount it, `/` for its root; undefined when that is the guest's affair. */
  mountPoint?: string;
}

/** What a disk's content is kept in. */
export type DiskSource =
  | { kind: "device"; device: DeviceFacts }
  /** Inside the image, and opened inside it. */
  | { kind: "imageFile"; file: ImageFileFacts }
  /** By a path of the host, which the caller named. */
  | { kind: "hostFile"; file: ImageFileFacts };

export interface MonitorFacts {
  /** Absolute host path of the binary, symlinks resolved. */
  binary: string;
  /** The monitor's data paths that exist on this host. */
  dataPaths: { path: string; kind: "directory" | "file" }[];
}

/** All that planning may know of the machine; gathered before any decision is made. */
export interface HostFacts {
  kvm: KvmFacts;
  tun?: DeviceFacts;
  /** Names of the groups that device nodes belong to, when errors may have to tell them. */
  groupNames?: Record<number, string>;
  cgroups: CgroupLayout;
  /** AppArmor is among the running kernel's security modules. */
  apparmor?: boolean;
  libraryDirectories: LibraryDirectory[];
  monitor: MonitorFacts;
  kernel: ImageFileFacts;
  initrd?: ImageFileFacts & {
    /** It is an archive that Linux unpacks, and no file system. */
    isInitramfs?: boolean;
  };
  /** In the order in which the guest counts them. */
  disks?: DiskFacts[];
  /** The container's root is a file system of its own on a block device, which the guest is to have. */
  rootDisk?: MountedDisk;
  /** The container's `/etc/resolv.conf`, for guests that are told name servers. */
  resolvConf?: string;
}
