import { UnsupportedError } from "../errors.ts";
import { firecracker } from "./firecracker.ts";
import { qemu } from "./qemu/qemu.ts";
import { hvt, spt } from "./solo5.ts";
import type { Monitor } from "./types.ts";

/**
 * Every monitor urunc can run, by the name the `hypervisor` key uses. Functions, so that only the one which
 * is asked for is loaded (lib/build/bundle.ts).
 */
const monitors: Record<string, () => Monitor> = {
  qemu: () => qemu,
  firecracker: () => firecracker,
  hvt: () => hvt,
  spt: () => spt,
};

/** Names that {@linkcode monitorByName} knows. */
export function monitorNames(): string[] {
  return Object.keys(monitors);
}

/**
 * The monitor of that name.
 *
 * @throws UnsupportedError naming those that work
 */
export function monitorByName(name: string): Monitor {
  if (Object.hasOwn(monitors, name)) return monitors[name]!();
  throw new UnsupportedError({
    operation: "choose monitor",
    subject: name,
    reason: "this version does not run it",
    remedy: `monitors that work: ${monitorNames().join(", ")}`,
  });
}
