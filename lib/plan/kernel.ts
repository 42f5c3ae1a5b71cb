import { arch } from "../arch/arch.ts";
import { InvalidConfigurationError } from "../errors.ts";
import type { Guest } from "../guest/families/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { KernelFormat } from "../guest/kernel/types.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Monitor } from "../monitor/types.ts";

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

/**
 * Where the memory ends that the kernel takes before its guest runs, with its initial RAM disk and what
 * its runtime allocates beside it: a guest with less does not boot, and mostly does not say so.
 *
 * @param besideBytes of RAM disk and runtime
 * @returns bytes; 0 for a kernel that does not say
 */
export function bootMemoryBytes(kernel: KernelFormat, besideBytes: number): number {
  const end = kernel.kind === "other" ? undefined : kernel.memoryEnd;
  return end === undefined ? 0 : end + besideBytes;
}
