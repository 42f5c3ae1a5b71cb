import type { UnikernelType } from "../types.ts";
import { elf } from "./elf.ts";
import { linux } from "./linux.ts";
import { mewz } from "./mewz.ts";
import { mirage } from "./mirage.ts";
import { rumprun } from "./rumprun.ts";
import type { Guest } from "./types.ts";
import { unikraft } from "./unikraft.ts";

/** All guest families. Functions, so that only the one in use is loaded (lib/build/bundle.ts). */
const guests: Record<UnikernelType, () => Guest> = {
  linux: () => linux,
  elf: () => elf,
  unikraft: () => unikraft,
  mirage: () => mirage,
  rumprun: () => rumprun,
  mewz: () => mewz,
};

/** The names of all guest families, as in the `unikernelType` key. */
export function guestTypes(): UnikernelType[] {
  return Object.keys(guests) as UnikernelType[];
}

/** The guest family of a type that `parseUnikernel` has accepted. */
export function guestOf(type: UnikernelType): Guest {
  return guests[type]();
}
