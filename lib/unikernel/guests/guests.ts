import type { UnikernelType } from "../types.ts";
import { elf } from "./elf.ts";
import { linux } from "./linux.ts";
import type { Guest } from "./types.ts";

const guests: Record<UnikernelType, Guest> = { linux, elf };

/** The guest family of a type that `parseUnikernel` has accepted. */
export function guestOf(type: UnikernelType): Guest {
  return guests[type];
}
