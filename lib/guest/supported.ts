import type { UnikernelType } from "./types.ts";

/**
 * Which monitors boot which guest family; `elf` is urunc's own name for an image that is none of the
 * others: PVH or multiboot, or for a Solo5 tender.
 */
const monitorsOf: Readonly<Record<UnikernelType, readonly string[]>> = {
  linux: ["qemu", "firecracker"],
  // Firecracker adds parameters of its own, which such a guest could not tell from arguments.
  elf: ["qemu", "hvt", "spt"],
  unikraft: ["qemu", "firecracker"],
  mirage: ["qemu", "hvt", "spt"],
  rumprun: ["hvt", "spt"],
  mewz: ["qemu"],
};

/** The guest families this version boots. */
export const supportedTypes = Object.keys(monitorsOf) as readonly UnikernelType[];

/** The monitors this version runs. */
export const supportedHypervisors: readonly string[] = ["qemu", "firecracker", "hvt", "spt"];

/** Whether this monitor boots guests of this family. */
export function isSupportedPair(type: UnikernelType, hypervisor: string): boolean {
  return monitorsOf[type].includes(hypervisor);
}

/** All that works, for an error: `linux on qemu or firecracker; …`. */
export function supportedPairs(): string {
  return Object.entries(monitorsOf)
    .map(([type, monitors]) => `${type} on ${monitors.join(" or ")}`)
    .join("; ");
}
