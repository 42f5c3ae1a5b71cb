import type { UnikernelType } from "./types.ts";

/** The guest families this version boots; `elf` is urunc's own name for a PVH or multiboot image. */
export const supportedTypes: readonly UnikernelType[] = ["linux", "elf"];

/** The monitors this version runs. */
export const supportedHypervisors: readonly string[] = ["qemu"];
