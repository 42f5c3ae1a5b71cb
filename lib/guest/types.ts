/** The guest families that urunc knows how to talk to. */
export type UnikernelType = "linux" | "elf" | "unikraft" | "mirage" | "rumprun" | "mewz";

/** How a guest is asked to shut down. */
export type Asking =
  /** By the power button alone; then it has all the time that the caller gives it. */
  | "button"
  /** By whatever it may listen to, and it is ended when it listens to nothing. */
  | "auto";

/**
 * What the image says of its guest: the `com.urunc.unikernel.*` annotations merged over
 * `/urunc.json`, parsed once. Every path names a file inside the image only.
 */
export interface UnikernelConfig {
  unikernelType: UnikernelType;
  unikernelVersion?: string;
  /** Name of the monitor that boots it. */
  hypervisor: string;
  /** Absolute path of the guest kernel in the image. */
  binary: string;
  /** Absolute path of the initial RAM disk in the image. */
  initrd?: string;
  /** The image's own command line, used when the container was given no arguments. */
  cmdline?: string;
  /** `tcg` only when the image or the operator asked for emulation by name. */
  accelerator: "kvm" | "tcg";
  /** How arguments and environment reach a Linux guest; undefined: the best way that it has. */
  environment?: "cmdline" | "initrd";
  /** Further parameters of a Linux kernel, as its command line has them. */
  kernelParameters?: string;
  /** `button`: the guest is only ever asked to stop by its power button, and waited for. */
  stop?: Asking;
  /** Absolute path in the image of a disk's content. */
  block?: string;
  /** Absolute path in the guest: where it mounts that disk, or its root. */
  blockMountPoint?: string;
  /** The image's root file system is to be the guest's first disk. */
  rootDisk?: boolean;
  /** What a Solo5 guest's manifest calls its network device, when not as its family does. */
  solo5NetDev?: string;
  /** The same of its block device. */
  solo5BlkDev?: string;
}

/** What a guest family's command line builder is told. Everything is already decided. */
export interface GuestInput {
  args: string[];
  env: string[];
  hostname?: string;
  domainname?: string;
  /** Used when args is empty. */
  cmdline?: string;
  hasInitrd: boolean;
  /** The initial RAM disk is an archive, so that another can stand before it. */
  isInitramfs?: boolean;
  /** Which way arguments and environment take, when the image says so. */
  environment?: UnikernelConfig["environment"];
  /** Further parameters of a Linux kernel, a word each. */
  kernelParameters?: string[];
  network?: GuestNetwork;
  /** Its disks, in the order in which it counts them. */
  disks?: GuestDisk[];
  /** The monitor that boots it; undefined: one that leaves the command line as it is. */
  monitor?: BootingMonitor;
  /** What the image says of the guest's own version. */
  version?: string;
  /** IPv4 addresses of the container's name servers, for families that take them. */
  nameservers?: string[];
  /** The container's `/etc/resolv.conf`, for families that take a file. */
  resolvConf?: string;
}

/** A monitor, as far as a guest's command line depends on it. */
export interface BootingMonitor {
  /** What its makers call it. */
  title: string;
  /** Parameters that a Linux kernel needs on it. */
  linuxParameters?: readonly string[];
  /** Whether it puts the kernel's path before the line of a multiboot kernel. */
  namesKernel?: boolean;
  /**
   * Whether it inserts parameters of its own, one and one for each device, in front of the first ` -- ` outside double quotes, or at
   * the end where there is none, and drops a `--` that nothing follows.
   */
  insertsParameters?: boolean;
}

/** A disk, as far as a guest is told of it. */
export interface GuestDisk {
  readOnly: boolean;
  /** Where it is to be mounted; undefined: the guest's own affair. */
  mountPoint?: string;
  /** As /proc/filesystems names it, when it is known. */
  fileSystem?: string;
}

/** Addresses the guest is to take over. */
export interface GuestNetwork {
  /** MAC address as `02:42:0a:58:03:07`. */
  mac: string;
  /** Bytes. */
  mtu: number;
  ipv4?: { address: string; prefixLength: number; gateway?: string };
  ipv6?: { address: string; prefixLength: number; gateway?: string };
}
