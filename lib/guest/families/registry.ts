import type { UnikernelType } from "../types.ts";
import { elf } from "./elf.ts";
import { linux } from "./linux.ts";
import { mewz } from "./mewz.ts";
import { mirage } from "./mirage.ts";
import { rumprun } from "./rumprun.ts";
import type { Guest } from "./types.ts";
import { unikraft } from "./unikraft.ts";

/** Functions, so that only the one which is asked for is loaded (lib/build/bundle.ts). */
const guests: Record<UnikernelType, () => Guest> = {
  linux: () => linux,
  elf: () => elf,
  unikraft: () => unikraft,
  mirage: () => mirage,
  rumprun: () => rumprun,
  mewz: () => mewz,
};

/** The guest families there are, by the names that the `unikernelType` key uses. */
export function guestTypes(): UnikernelType[] {
  return Object.keys(guests) as UnikernelType[];
}

/** The guest family of a type that `parseUnikernel` has accepted. */
export function guestOf(type: UnikernelType): Guest {
  return guests[type]();
}
