import { InvalidConfigurationError } from "../errors.ts";
import type { MonitorInput } from "./types.ts";

/** What is checked, and for which monitor's arguments. */
export interface Checked {
  /** The monitor's name. */
  monitor: string;
  /** What the value is, for the error. */
  what: string;
}

/**
 * An error about a value that a monitor's arguments cannot express.
 *
 * @param found the value
 * @param reason why not
 */
export function refusedValue(
  { monitor, what }: Checked,
  found: string,
  reason: string,
): InvalidConfigurationError {
  const shown = found.length > 80 ? `${found.slice(0, 80)}…` : found;
  return new InvalidConfigurationError({
    operation: `plan ${monitor}'s arguments`,
    subject: `${what} ${JSON.stringify(shown)}`,
    reason,
  });
}

/**
 * An absolute path, as an argument or value of its own.
 *
 * @returns the path
 * @throws InvalidConfigurationError
 */
export function checkPath(checked: Checked, path: string): string {
  // deno-lint-ignore no-control-regex -- refusing them is the point
  if (/[\x00-\x1f\x7f]/.test(path)) {
    throw refusedValue(checked, path, "it contains a control character");
  }
  if (!path.startsWith("/")) throw refusedValue(checked, path, "the path is not absolute");
  return path;
}

/**
 * A whole number in a range.
 *
 * @returns the number
 * @throws InvalidConfigurationError
 */
export function checkCount(
  checked: Checked,
  count: number,
  minimum: number,
  maximum = 2 ** 31 - 1,
): number {
  if (Number.isInteger(count) && count >= minimum && count <= maximum) return count;
  const reason = `a whole number from ${minimum} to ${maximum} is needed`;
  throw refusedValue(checked, String(count), reason);
}

/**
 * A MAC address as `02:42:0a:58:03:07`.
 *
 * @returns the address
 * @throws InvalidConfigurationError
 */
export function checkMac(checked: Checked, mac: string): string {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) return mac;
  throw refusedValue(checked, mac, "six pairs of hexadecimal digits are needed");
}

/** VIRTIO_BLK_ID_BYTES, linux/virtio_blk.h: how much of a serial number a guest reads. */
const SERIAL_BYTES = 20;

/**
 * A disk's serial number, as part of an argument or as a name.
 *
 * @returns the number
 * @throws InvalidConfigurationError
 */
export function checkSerial(checked: Checked, serial: string): string {
  if (serial.length <= SERIAL_BYTES && /^[A-Za-z0-9._-]+$/.test(serial)) return serial;
  throw refusedValue(checked, serial, `1 to ${SERIAL_BYTES} of A-Z a-z 0-9 . _ - are needed`);
}

/**
 * Refuses descriptors, for a monitor that opens its devices itself.
 *
 * @throws InvalidConfigurationError when there is a descriptor
 */
export function refuseDescriptors(
  monitor: string,
  { kvmFd, network }: Pick<MonitorInput, "kvmFd" | "network">,
): void {
  const found = kvmFd ?? network?.tapFd;
  if (found === undefined) return;
  throw refusedValue({ monitor, what: "descriptor" }, String(found), "it opens its devices itself");
}

/** IFNAMSIZ (linux/if.h), the closing NUL included. */
const INTERFACE_NAME_BYTES = 16;

/**
 * The name of a tap. Solo5 would read `@5` as a descriptor.
 *
 * @returns the name
 * @throws InvalidConfigurationError
 */
export function checkTap(checked: Checked, tap: string): string {
  const length = new TextEncoder().encode(tap).length;
  if (length < INTERFACE_NAME_BYTES && /^[^@\s]\S*$/.test(tap)) return tap;
  throw refusedValue(checked, tap, "not the name of a network interface");
}
