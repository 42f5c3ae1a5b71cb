import { UnsupportedError } from "../errors.ts";
import type { MonitorSupport } from "../guest/parse.ts";
import { firecracker } from "./firecracker.ts";
import { qemu } from "./qemu/qemu.ts";
import { hvt, spt } from "./solo5.ts";
import type { Monitor } from "./types.ts";

/**
 * Every monitor that urunc can run, by its name in the `hypervisor` key; nothing else lists them.
 * Functions, so that only the one in use is loaded (lib/build/bundle.ts).
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

/**
 * Names of the monitors that have an ability, for the remedy of an error about one that lacks it:
 * `qemu or firecracker`.
 */
export function monitorsThat(can: (monitor: Monitor) => boolean): string {
  return monitorNames().filter((name) => can(monitorByName(name))).join(" or ");
}

/** The monitors that an image may ask for. */
export const supportedMonitors: MonitorSupport = {
  names: Object.keys(monitors),
  // The one with a channel to the guest's agent.
  usual: "qemu",
  guestsOf: (name) => monitorByName(name).guests,
};
