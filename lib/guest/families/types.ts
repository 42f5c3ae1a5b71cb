import type { GuestProcess } from "../initrd/segment.ts";
import type { GuestInput, UnikernelType } from "../types.ts";

/** One guest family: how its guests get arguments, environment and addresses. */
export interface Guest {
  /** Its name in `com.urunc.unikernel.unikernelType`. */
  type: UnikernelType;
  /**
   * Whether guests of this family may shut down when they are asked to, by the power button or the
   * keyboard; others are killed at once.
   */
  shutsDown: boolean;
  /** How its guests use disks; undefined: not at all. */
  disks?: GuestDisks;
  /** Whether its guests use one processor, however many there are. */
  singleProcessor?: boolean;
  /** Whether their network drivers support only virtio 1.0, and not its predecessor. */
  modernVirtio?: boolean;
  /**
   * Whether they start only in a BIOS, which assigns addresses to PCI devices and reserves memory above
   * the guest's RAM.
   */
  needsBios?: boolean;
  /** Whether their network driver misreads the MTU that it is offered. */
  misreadsMtu?: boolean;
  /**
   * The container's exit codes for codes that its guests write to a debug exit port
   * (`Monitor.debugExit`), where these are not exit codes of a program.
   */
  debugExitCodes?: Readonly<Record<number, number>>;
  /** What its runtime allocates before the program begins, in bytes. */
  runtimeBytes?: number;
  /** Whether its kernels may have Linux's own compressed form. */
  takesLinuxImage?: boolean;
  /** Whether its kernels take parameters that an image or a caller chooses. */
  takesKernelParameters?: boolean;
  /** Which of its guests urunc has an agent for; undefined: none. */
  agent?: GuestAgents;
  /** Whether guests of this family get name servers. */
  takesNameservers?: boolean;
  /**
   * The guest's command line, whole.
   *
   * @returns undefined when it is empty
   * @throws InvalidConfigurationError naming what the guest could not read unchanged
   */
  commandLine(input: GuestInput): string | undefined;
  /** What the guest may lose of its command line, one sentence each. */
  warnings?(input: GuestInput): string[];
  /**
   * What is passed in the initial RAM disk, instead of on the command line.
   *
   * @returns undefined when nothing is
   * @throws InvalidConfigurationError naming what cannot be passed
   */
  processInInitrd?(input: GuestInput): GuestProcess | undefined;
}

/** Which guests of a family have an agent. */
export interface GuestAgents {
  /** Why a guest cannot have one, from the words "it is …"; undefined: it can. */
  refuse(input: GuestInput): string | undefined;
  /**
   * The program, where it is an init that runs a whole system: that needs process 1 of the guest for itself,
   * and all privileges.
   */
  ownInit(input: GuestInput): string | undefined;
}

/** How the guests of a family use disks. */
export interface GuestDisks {
  /** How many they support. */
  most: number;
  /**
   * Where they can mount one: only as `root`, at a directory `below` it, or not at all (`raw`).
   */
  mount: "root" | "below" | "raw";
  /** Where they mount it unless the image says where. */
  mountPoint?: string;
  /** File systems that they can mount, as /proc/filesystems names them. */
  fileSystems: readonly string[];
}
