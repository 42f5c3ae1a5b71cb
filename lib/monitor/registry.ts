import { UnsupportedError } from "../errors.ts";
import { firecracker } from "./firecracker.ts";
import { qemu } from "./qemu.ts";
import { hvt, spt } from "./solo5.ts";
import type { Monitor } from "./types.ts";

/** Every monitor urunc can run, by the name the `hypervisor` key uses. */
const monitors: readonly Monitor[] = [qemu, firecracker, hvt, spt];

/** Names that {@linkcode monitorByName} knows. */
export function monitorNames(): string[] {
  return monitors.map((monitor) => monitor.name);
}

/**
 * The monitor of that name.
 *
 * @throws UnsupportedError naming those that work
 */
export function monitorByName(name: string): Monitor {
  const monitor = monitors.find((candidate) => candidate.name === name);
  if (monitor !== undefined) return monitor;
  throw new UnsupportedError({
    operation: "choose monitor",
    subject: name,
    reason: "this version does not run it",
    remedy: `monitors that work: ${monitorNames().join(", ")}`,
  });
}
