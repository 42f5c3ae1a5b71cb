/** A device node of the host, from stat(2) and its access control list. */
export interface DeviceFacts {
  path: string;
  /** The host has the device but no node of it; owner and mode are those that a node would have. */
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
  /** The processor's maker as /proc/cpuinfo names it, when KVM was probed. */
  processorVendor?: string;
}

export interface CgroupLayout {
  mode: "v1" | "v2" | "hybrid" | "none";
  /** v1: controller name (or `name=systemd`) → mount point. Co-mounted controllers appear once each. */
  v1: Record<string, string>;
  /** Mount point of the cgroup2 tree, and its controllers. */
  v2?: { mountPoint: string; controllers: string[] };
}

export interface MonitorFacts {
  /** Absolute host path of the binary, symlinks resolved. */
  binary: string;
  /** The monitor's data paths that exist on this host. */
  dataPaths: { path: string; kind: "directory" | "file" }[];
  /** What it says its version is, where that matters. */
  version?: string;
  /** Absolute host path of the firmware that the guest starts in, symlinks resolved. */
  firmware?: string;
}
