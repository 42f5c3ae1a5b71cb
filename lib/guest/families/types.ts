import type { GuestProcess } from "../initrd/segment.ts";
import type { GuestInput, UnikernelType } from "../types.ts";

/** One guest family: how it wants to be told its arguments, environment and addresses. */
export interface Guest {
  /** The name that `com.urunc.unikernel.unikernelType` uses. */
  type: UnikernelType;
  /**
   * Whether guests of this family may shut down when they are asked to, by the power button or the
   * keyboard; others are ended at once.
   */
  shutsDown: boolean;
  /** What the manifests of its Solo5 guests call their network device. */
  solo5NetDevice?: string;
  /** What its guests do with disks; undefined: they have no use for any. */
  disks?: GuestDisks;
  /** Whether their network drivers know virtio 1.0 only, and not what was before. */
  modernVirtio?: boolean;
  /**
   * Whether they start only in a PC's BIOS: with PCI devices that have addresses, and a memory map that
   * ends as a BIOS leaves it.
   */
  needsBios?: boolean;
  /** Whether their network driver takes something else for the MTU that it is offered. */
  misreadsMtu?: boolean;
  /**
   * The container's exit codes for codes that its guests write to a debug exit port
   * (`Monitor.debugExit`), where these are not exit codes of a program.
   */
  debugExitCodes?: Readonly<Record<number, number>>;
  /** Whether its kernels take parameters that an image or a caller chooses. */
  takesKernelParameters?: boolean;
  /** Whether guests of this family are told name servers. */
  takesNameservers?: boolean;
  /**
   * The guest's command line, whole.
   *
   * @returns undefined when there is nothing to tell
   * @throws InvalidConfigurationError naming what the guest could not be told unchanged
   */
  commandLine(input: GuestInput): string | undefined;
  /** What such a guest may not get of what it is told, a sentence each. */
  warnings?(input: GuestInput): string[];
  /**
   * What is handed over in the initial RAM disk, in place of the command line.
   *
   * @returns undefined when nothing is
   * @throws InvalidConfigurationError naming what cannot be handed over
   */
  handedProcess?(input: GuestInput): GuestProcess | undefined;
}

/** What the guests of a family do with disks. */
export interface GuestDisks {
  /** How many they find. */
  most: number;
  /**
   * Where they mount one when they are told: `root` and nowhere else, a directory `below` it, or not
   * at all (`raw`).
   */
  mount: "root" | "below" | "raw";
  /** Where one is mounted that is for mounting, when the image does not say. */
  mountPoint?: string;
  /** File systems that they can mount, as /proc/filesystems names them. */
  fileSystems: readonly string[];
  /** What the manifests of its Solo5 guests call theirs. */
  solo5Device?: string;
}
