import type { AgentProcess, CopiedTree } from "./initrd/process.ts";

/** The guest families. */
export type UnikernelType = "linux" | "elf" | "unikraft" | "mirage" | "rumprun" | "mewz";

/**
 * An image's description of its guest: the `com.urunc.unikernel.*` annotations merged over
 * `/urunc.json`, parsed once. All paths are paths in the image.
 */
export interface UnikernelConfig {
  unikernelType: UnikernelType;
  unikernelVersion?: string;
  /** Name of the monitor that boots it. */
  hypervisor: string;
  /** Absolute path of the guest kernel in the image; undefined: it brings none. */
  binary?: string;
  /** Name of the node's kernel for an image that brings none. */
  kernel?: string;
  /** Absolute path of the initial RAM disk in the image. */
  initrd?: string;
  /** The image's own command line, used when the container was given no arguments. */
  cmdline?: string;
  /** `tcg` only when the image or the operator asked for emulation. */
  accelerator: "kvm" | "tcg";
  /** How arguments and environment reach a Linux guest; undefined: the best available way. */
  environment?: "cmdline" | "initrd";
  /** Additional parameters of a Linux kernel, as on its command line. */
  kernelParameters?: string;
  /** `button`: the power button asks the guest to stop, and no agent passes signals on. */
  stop?: "auto" | "button";
  /** `on`: urunc's agent is the guest's process 1; undefined: where there can be one. */
  agent?: "on" | "none";
  /** Absolute path in the image of a disk's content. */
  block?: string;
  /** Absolute path in the guest: where it mounts that disk, or its root. */
  blockMountPoint?: string;
  /** The image's root file system becomes the guest's first disk. */
  rootDisk?: boolean;
  /** The image's root is shared with the guest as its own: always, or where it cannot be a disk. */
  sharesRoot?: "always" | "otherwise";
  /** Name of the network device in a Solo5 guest's manifest, if it is not the family's usual one. */
  solo5NetDev?: string;
  /** The same for its block device. */
  solo5BlkDev?: string;
}

/** Input for a guest family's command line. Everything is already decided. */
export interface GuestInput {
  args: string[];
  env: string[];
  hostname?: string;
  domainname?: string;
  /** Used when args is empty. */
  cmdline?: string;
  hasInitrd: boolean;
  /** The kernel is one of the node's, whose drivers our init loads. */
  loadsDrivers?: boolean;
  /** The initial RAM disk is an archive, so that another can be prepended. */
  isInitramfs?: boolean;
  /** How the guest gets arguments and environment, when the image says so. */
  environment?: UnikernelConfig["environment"];
  /** Additional parameters of a Linux kernel, one word each. */
  kernelParameters?: string[];
  network?: GuestNetwork;
  /** Of a guest with an agent, which sets them up. */
  furtherNetworks?: GuestNetwork[];
  /** Its disks, in the order in which it counts them. */
  disks?: GuestDisk[];
  /** The monitor that boots it; undefined: one that leaves the command line as it is. */
  monitor?: BootingMonitor;
  /** The guest system's version, from the image. */
  version?: string;
  /** IPv4 addresses of the container's name servers, for families that take them. */
  nameservers?: string[];
  /** The container's `/etc/resolv.conf`, for families that take a file. */
  resolvConf?: string;
  /** The container's `/etc/hosts`, for an agent. */
  hosts?: string;
  /** Volumes that an agent's guest gets copies of. */
  copies?: CopiedTree[];
  /** As whom an agent runs the program; undefined: the guest has none. */
  agent?: AgentProcess;
  /** The container's root is shared with the guest as its own. */
  sharedRoot?: { readOnly: boolean };
}

/** A monitor, as far as a guest's command line depends on it. */
export interface BootingMonitor {
  /** Its name in documents and errors. */
  title: string;
  /** Parameters that a Linux kernel needs under this monitor. */
  linuxParameters?: readonly string[];
  /** Whether it prepends the kernel's path to the command line of a multiboot kernel. */
  namesKernel?: boolean;
  /**
   * Whether it inserts parameters of its own (one, and one for each device) before the first ` -- ` outside
   * double quotes, or at the end without one, and drops a `--` that nothing follows.
   */
  insertsParameters?: boolean;
  /** Whether its memory map reserves the end of the first 640 KiB and the video memory in one region. */
  reservesVideoMemory?: boolean;
}

/** A disk, as far as a guest's command line mentions it. */
export interface GuestDisk {
  readOnly: boolean;
  /** Where the guest mounts it; undefined: the guest decides. */
  mountPoint?: string;
  /** As /proc/filesystems names it, when it is known. */
  fileSystem?: string;
}

/** Addresses that the guest takes over. */
export interface GuestNetwork {
  /** MAC address as `02:42:0a:58:03:07`. */
  mac: string;
  /** Bytes. */
  mtu: number;
  /** What the guest is to call the interface; undefined: what its kernel does. */
  name?: string;
  ipv4?: GuestAddress;
  ipv6?: GuestAddress;
  /** Further ones. */
  addresses?: Pick<GuestAddress, "address" | "prefixLength" | "broadcast">[];
  /** Besides the default ones. */
  routes?: GuestRoute[];
  /** IPv6, of the interface that the guest takes over; undefined: it is to have none. */
  linkLocal?: string;
}

/** The first address of a family, and its default route. */
export interface GuestAddress {
  address: string;
  prefixLength: number;
  /** IPv4, where somebody has set it. */
  broadcast?: string;
  gateway?: string;
  /** Of the default route; undefined: the kernel's own. */
  metric?: number;
}

/** A route to a part of the addresses. */
export interface GuestRoute {
  family: "inet" | "inet6";
  destination: string;
  prefixLength: number;
  /** Undefined: its addresses are on the link. */
  gateway?: string;
  /** The gateway is on the link although no address of the interface says so. */
  onLink?: true;
  /** Undefined: the kernel's own. */
  metric?: number;
}
