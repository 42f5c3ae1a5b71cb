import type { Firmware } from "../arch/types.ts";
import type { ElfKernel, LinuxImage } from "../guest/kernel/types.ts";
import type { BootingMonitor, UnikernelType } from "../guest/types.ts";

/** Everything a monitor needs to know to boot one guest; paths are inside the clean-room root. */
export interface MonitorInput {
  /** The monitor's own binary, as it is called in the clean room. */
  binary: string;
  kernel: string;
  initrd?: string;
  /** The guest's command line, whole; undefined when there is none. */
  commandLine?: string;
  /** Guest memory in MiB (2^20 bytes). */
  memoryMiB: number;
  vcpus: number;
  accelerator: "kvm" | "tcg";
  /** An open descriptor of /dev/kvm; undefined: it opens the node. */
  kvmFd?: number;
  /** Maker of the host's processor, as /proc/cpuinfo names it. */
  processorVendor?: string;
  /** Directories the monitor searches for firmware, in order. */
  firmwareDirectories: readonly string[];
  /** The firmware that the guest starts in, where the monitor has any. */
  firmware?: string;
  network?: MonitorNetwork;
  /** Of a guest with an agent, which sets them up. */
  furtherNetworks?: MonitorNetwork[];
  /** In the order in which the guest counts them; none when undefined. */
  disks?: MonitorDisk[];
  /** An open descriptor of a listening socket, on which the monitor takes commands. */
  controlFd?: number;
  /** One of a connection to the container's process, on which it reports events in QMP. */
  eventsFd?: number;
  /** For a guest with an agent that has ports. */
  ports?: AgentPorts;
  /**
   * For one that makes connections of vsock: the socket that the monitor binds. It connects to those with
   * its name, `_` and a port.
   */
  vsock?: string;
  /** For a guest that sees files of the host: the connection to what serves them. */
  files?: MonitorFiles;
}

/** A file server of the guest's, which reads and writes the guest's memory. */
export interface MonitorFiles {
  fd: number;
  /** By which the guest finds them. */
  tag: string;
  /** A directory in the clean room that has room for the guest's memory and is the monitor's to write. */
  memory: string;
}

/** A network interface of the guest's. */
export interface MonitorNetwork {
  /** Name of a persistent tap that the monitor's user owns. */
  tap: string;
  /** A descriptor that is attached to it, where the monitor takes descriptors; else it attaches by name. */
  tapFd?: number;
  /** One of /dev/vhost-net, where the kernel is to move packets between the guest and the tap. */
  vhostFd?: number;
  mac: string;
  /** Bytes. */
  mtu: number;
  /** The guest's driver must not be offered the MTU: it would misread it. */
  hideMtu?: boolean;
  /** What the guest's manifest calls the device; Solo5 needs it. */
  device?: string;
  /** The guest's driver knows virtio 1.0 only, and not what was before. */
  modern?: boolean;
}

/** By ports of the guest's, or by connections that it makes. */
export type AgentChannel = "ports" | "vsock";

/** Numbers of descriptors of the sockets that are behind a guest's ports. */
export interface AgentPorts {
  stdin: number;
  stdout: number;
  stderr: number;
  control: number;
  /** Listening ones, for further processes. */
  exec: number[];
  /** Such ones without a port yet: {@linkcode Monitor.addPort}. Their numbers follow. */
  execLater: number[];
  /** By which it asks the name server of the container's network namespace. */
  dns?: number;
}

/** A disk for a monitor: either a path or an open descriptor. */
export interface MonitorDisk {
  /** In the clean room. */
  path?: string;
  fd?: number;
  /** What is behind it: monitors treat a device and a file differently. */
  kind: "device" | "file";
  readOnly: boolean;
  /** What the guest reads as the disk's serial number, where disks have one. */
  serial?: string;
  /** What the guest's manifest calls it; Solo5 needs it. */
  solo5Device?: string;
}

/**
 * One monitor: data and pure functions, and how it is controlled once it runs. Whatever differs
 * between monitors is here, so that nothing else needs a special case for any of them.
 */
export interface Monitor extends BootingMonitor {
  /** The name that `com.urunc.unikernel.hypervisor` uses. */
  name: string;
  /** The guest families that it boots. */
  guests: readonly UnikernelType[];
  /** The Debian package that has it, for the error that says it is missing. */
  debianPackage?: string;
  /** File names looked for, in order, in the directories of the search path. */
  binaryNames: readonly string[];
  /** Which kernels it starts, as text for an error. */
  kernels: string;
  /**
   * Why it would not start a kernel, by its headers.
   *
   * @param version of the monitor, where `versionArguments` are there and it was asked
   * @returns undefined: it would
   */
  refuseKernel(kernel: ElfKernel | LinuxImage, version?: string): KernelRefusal | undefined;
  /** A word of what it prints when it is asked for its version. */
  calledInVersion: string;
  /** Arguments that make it print its version; undefined: it does not matter which it is. */
  versionArguments?: readonly string[];
  /** Whether a guest's own manifest says which devices it is started with. */
  attachesManifest?: boolean;
  /** Host directories and files bound read-only into the clean room, when they exist. */
  dataPaths: readonly string[];
  /** Host files that it loads by itself, when they exist: some distributions build parts of it as modules. */
  modulePaths?: readonly string[];
  /** Directories among dataPaths to search for firmware. */
  firmwareDirectories: readonly string[];
  /** Firmware that it can start a guest in, by name; undefined: it starts kernels itself. */
  firmware?: Readonly<Record<string, Firmware>>;
  /**
   * Memory that the monitor itself uses beside the guest's, in bytes, for a guest of
   * `memoryMiB` MiB with `vcpus` processors. Measured; the source says how.
   */
  memoryOverheadBytes(
    guest: {
      memoryMiB: number;
      vcpus: number;
      /** How many interfaces. */
      networks: number;
      /** How many; 0 when not given. */
      disks?: number;
      accelerator: "kvm" | "tcg";
      /** Size of the kernel file, of which a monitor may keep a copy; 0 when not given. */
      kernelBytes?: number;
      /** The soft limit of open files, for which a monitor may make room; 0 when not given. */
      openFiles?: number;
      /** Whether the guest has an agent. */
      agent?: boolean;
    },
  ): number;
  /**
   * The most processes and threads that it may have at a time, what the kernel makes for it included: of a
   * guest with `vcpus` processors. A monitor that cannot make one mostly ends.
   */
  threads(guest: {
    vcpus: number;
    /** How many. */
    disks: number;
    /** How many interfaces whose packets the kernel moves. */
    vhosts: number;
    accelerator: "kvm" | "tcg";
  }): number;
  /** How many virtual processors it can give a guest. */
  maximumVcpus: number;
  /** The smallest guest that the monitor can run, in MiB. */
  minimumMemoryMiB: number;
  /** The largest, in MiB; undefined: whatever the host has. */
  maximumMemoryMiB?: number;
  /** Guest memory comes in multiples of this, in MiB; 1 when undefined. */
  memoryStepMiB?: number;
  /** How it can run a guest's instructions; empty: the guest is part of its own process. */
  accelerators: readonly ("kvm" | "tcg")[];
  /** Whether it gives guests an initial RAM disk. */
  takesInitrd: boolean;
  /** How many disks it can give a guest. */
  mostDisks: number;
  /** Whether it opens a disk read-only when the guest may only read it. */
  readOnlyDisks: boolean;
  /** Whether it takes disks, the tap and /dev/kvm as open descriptors. */
  takesDescriptors: boolean;
  /** Whether it can have the host's kernel move packets, by an open descriptor of /dev/vhost-net. */
  usesVhost?: boolean;
  /** Device nodes that this guest needs in the private /dev, besides disks. */
  devices(input: { accelerator: "kvm" | "tcg"; network: boolean }): MonitorDevice[];
  /** Whether a guest exits with a code by a debug exit port: see `Guest.debugExitCodes`. */
  debugExit?: boolean;
  /** How it reports that it cannot go on, whatever it exits with; undefined: its exit code says so. */
  failures?: {
    /** One of these. Each begins with a character that it has nowhere else but at its end. */
    texts: readonly string[];
    /** In a log, which it opens by this path in the clean room; undefined: on its `eventsFd`. */
    log?: string;
  };
  /** How the agent of its guests is reached; undefined: they have none. */
  agentChannel?: AgentChannel;
  /** Whether it has a device by which a guest with an agent sees files of the host. */
  sharesFiles?: boolean;
  /** Whether its guest's console reads standard input. */
  readsInput: boolean;
  /** Whether it makes standard output nonblocking and drops what does not fit. */
  dropsOutput?: boolean;
  /** Number of the signal that terminates the monitor, in the most orderly way that it has. */
  endSignal: number;
  /**
   * Asks a running guest to shut down, over the monitor's control socket; undefined: the monitor has
   * none. Not pure: it is in the monitor's `running/`, which is loaded when it is called. Never throws:
   * a monitor that cannot be talked to is `unresponsive`.
   */
  stop?(guest: RunningGuest): Promise<StopOutcome>;
  /**
   * Gives a running guest one of the ports of `execLater`. One that it has already is not an error. Not pure,
   * as `stop`, but that it throws HostError when the monitor does not do it, and WrongStateError
   * when that has exited.
   *
   * @param index counted from the first of `exec`
   */
  addPort?(guest: RunningGuest, index: number): Promise<void>;
  /**
   * Files of its own that it reads at its start, put into the clean room for its user alone.
   * Throws InvalidConfigurationError.
   */
  files?(input: MonitorInput): MonitorFile[];
  /**
   * The argument vector, `argv[0]` included. Throws InvalidConfigurationError. Where a monitor
   * filters its own system calls, the arguments leave that on or turn it on, whatever
   * `linux.seccomp` says: that profile is for an ordinary program, and no monitor could run in it.
   */
  argv(input: MonitorInput): string[];
}

/** Why a monitor would not start a kernel, and what to do about it. */
export interface KernelRefusal {
  reason: string;
  remedy: string;
}

/** A file made for one monitor. */
export interface MonitorFile {
  /** In the clean room. */
  path: string;
  content: string;
}

/** Paths below /dev; each is created for the container, never bound from the host. */
export type MonitorDevice = "kvm" | "net/tun";

/** A running guest whose monitor is to be asked for something. */
export interface RunningGuest {
  /** Absolute path of the monitor's control socket. */
  controlSocket: string;
}

/**
 * The result of asking. `stopping`: it was asked, and only the caller, who knows how long that may take, will
 * kill it. `unresponsive`: it could not be, and there is no point in waiting.
 */
export type StopOutcome = "stopping" | "unresponsive";
