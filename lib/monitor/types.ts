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
  /** Directories the monitor searches for firmware, in order. */
  firmwareDirectories: string[];
  network?: {
    /** Name of a persistent tap that the monitor's user owns. */
    tap: string;
    mac: string;
    /** Bytes. */
    mtu: number;
  };
  /** An open descriptor of a listening socket, on which the monitor takes commands. */
  controlFd?: number;
}

/**
 * One monitor: data and pure functions. Whatever differs between monitors is here, so that the
 * plan needs no special case for any of them.
 */
export interface Monitor {
  /** The name that `com.urunc.unikernel.hypervisor` uses. */
  name: string;
  /** File names looked for, in order, in the directories of the search path. */
  binaryNames: string[];
  /** Host directories and files bound read-only into the clean room, when they exist. */
  dataPaths: string[];
  /** Directories among dataPaths to search for firmware. */
  firmwareDirectories: string[];
  /**
   * Memory that the monitor itself uses beside the guest's, in bytes, for a guest of
   * `memoryMiB` MiB with `vcpus` processors. Measured; the source says how.
   */
  memoryOverheadBytes(
    guest: {
      memoryMiB: number;
      vcpus: number;
      network: boolean;
      accelerator: "kvm" | "tcg";
      /** Size of the kernel file, of which a monitor may keep a copy; 0 when not given. */
      kernelBytes?: number;
    },
  ): number;
  /** The smallest guest the monitor can run, in MiB. */
  minimumMemoryMiB: number;
  /** Which device nodes this guest needs in the private /dev. */
  devices(input: { accelerator: "kvm" | "tcg"; network: boolean }): MonitorDevice[];
  /**
   * What the guest's exit code was, from the monitor's: how a guest reports one differs between
   * monitors.
   */
  exitCode(monitorExitCode: number): number;
  /** Number of the signal that ends the monitor, as orderly as it can: the caller's patience is over. */
  endSignal: number;
  /** Language of the control socket that it can be handed; undefined: it cannot. */
  control?: "qmp";
  /** The argument vector, `argv[0]` included. Throws InvalidConfigurationError. */
  argv(input: MonitorInput): string[];
}

/** Paths under /dev; each is made anew for the container, never bound from the host. */
export type MonitorDevice = "kvm" | "net/tun";
