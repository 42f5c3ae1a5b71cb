import { arch } from "../arch/arch.ts";
import { InvalidConfigurationError } from "../errors.ts";
import type { Guest } from "../guest/families/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { KernelFormat } from "../guest/kernel/types.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Configuration } from "../config/types.ts";
import type { Monitor } from "../monitor/types.ts";

const MIB = 1024 * 1024;

/** What is known of a kernel, of the guest that it is said to be, and of who is to start it. */
export interface KernelInput {
  facts: Pick<HostFacts, "kernel" | "kernelFormat" | "monitor">;
  guest: Pick<Guest, "type" | "takesLinuxImage">;
  monitor: Pick<Monitor, "title" | "kernels" | "refuseKernel">;
}

/**
 * Judges a kernel by its headers: monitors say little of one that they cannot start, and say it when
 * the container runs.
 *
 * @throws InvalidConfigurationError that says what the file is, and what is needed
 */
export function requireKernel({ facts, guest, monitor }: KernelInput): void {
  const { kernelFormat: kernel } = facts;
  const needed = `${monitor.title} starts ${monitor.kernels}`;
  if (kernel.kind === "other") throw refused(facts, `it is ${kernel.what}; ${needed}`);
  if (kernel.kind === "elf" && !kernel.isProgram) {
    throw refused(facts, `it is an ELF file that is not a program; ${needed}`);
  }
  if (kernel.kind === "linuxImage" && !guest.takesLinuxImage) {
    const { imageName } = arch.linux;
    const type = `${keyPrefix}unikernelType is ${guest.type}`;
    const reason = `it is a ${imageName}, a Linux kernel, and ${type}`;
    throw refused(facts, reason, 'unikernelType "linux"');
  }
  const refusal = monitor.refuseKernel(kernel, facts.monitor.version);
  if (refusal !== undefined) throw refused(facts, `${refusal.reason}; ${needed}`, refusal.remedy);
}

function refused(
  { kernel }: KernelInput["facts"],
  reason: string,
  remedy = `${keyPrefix}binary names the guest's kernel`,
): InvalidConfigurationError {
  const operation = "read the guest's kernel";
  return new InvalidConfigurationError({ operation, subject: kernel.path, reason, remedy });
}

/** Files that a guest boots from, and how large they may be. */
export interface BootFilesInput {
  facts: Pick<HostFacts, "kernel" | "initrd">;
  configuration: Pick<Configuration, "maximum_boot_file_mib">;
}

/**
 * An image may have a file of any size that takes no space in it, and a monitor that reads it takes as
 * much memory.
 *
 * @throws InvalidConfigurationError naming the file that is larger than the operator allows
 */
export function requireBootFiles({ facts, configuration }: BootFilesInput): void {
  const { maximum_boot_file_mib: most } = configuration;
  const large = [facts.kernel, facts.initrd].find((file) => (file?.size ?? 0) > most * MIB);
  if (large === undefined) return;
  throw new InvalidConfigurationError({
    operation: "read the guest's boot files",
    subject: large.path,
    reason: `it has ${large.size} bytes, and maximum_boot_file_mib allows ${most} MiB`,
    remedy: "raise that in the configuration, if the image is trusted to be so large",
  });
}

/**
 * Where the memory ends that the kernel takes before its guest runs, with its initial RAM disk and what
 * its runtime allocates beside it: a guest with less does not boot, and mostly does not say so. A
 * compressed kernel is loaded whole, whatever its header says; of an ELF file only its segments are.
 *
 * @param kernelBytes size of its file
 * @param besideBytes of RAM disk and runtime
 */
export function bootMemoryBytes(
  kernel: KernelFormat,
  kernelBytes: number,
  besideBytes: number,
): number {
  const end = kernel.kind === "other" ? 0 : kernel.memoryEnd ?? 0;
  const loaded = kernel.kind === "linuxImage" ? kernelBytes : 0;
  return Math.max(end, loaded) + besideBytes;
}
