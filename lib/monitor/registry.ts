import { UnsupportedError } from "../errors.ts";
import type { MonitorSupport } from "../guest/parse.ts";
import { firecracker } from "./firecracker.ts";
import { qemu } from "./qemu/qemu.ts";
import { hvt, spt } from "./solo5.ts";
import type { Monitor } from "./types.ts";

/**
 * Every monitor urunc can run, by the name the `hypervisor` key uses; nothing else lists them. Functions,
 * so that only the one which is asked for is loaded (lib/build/bundle.ts).
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
 * The names of monitors that can do something, for the remedy of an error about one that cannot:
 * `qemu or firecracker`.
 */
export function monitorsThat(can: (monitor: Monitor) => boolean): string {
  return monitorNames().filter((name) => can(monitorByName(name))).join(" or ");
}

/** What an image may ask for as its monitor. */
export const supportedMonitors: MonitorSupport = {
  names: Object.keys(monitors),
  guestsOf: (name) => monitorByName(name).guests,
};
