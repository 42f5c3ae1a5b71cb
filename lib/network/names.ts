import { InvalidConfigurationError } from "../errors.ts";
import { IFNAMSIZ } from "../protocol/netlink/constants.ts";

/** The tap of a guest's first interface; the name that urunc has always used. */
export const TAP_NAME = tapName(0);

/** Name of the tap of an interface of a guest. @param position from 0 */
export function tapName(position: number): string {
  return `tap${position}_urunc`;
}

/** Whether {@linkcode tapName} could have made a name. */
export function isTapName(name: string): boolean {
  return /^tap\d_urunc$/.test(name);
}

/**
 * Refuses what the kernel would not take as an interface's name (dev_valid_name in
 * net/core/dev.c), and what is unsafe on a monitor's command line.
 *
 * @param name of an interface
 * @returns the name
 * @throws {InvalidConfigurationError} saying what is allowed
 */
export function validateInterfaceName(name: string): string {
  const valid = name.length < IFNAMSIZ && name !== "." && name !== ".." &&
    // `:` separates aliases, `%` is a kernel pattern, `,` and `=` separate QEMU's options.
    /^[\x21-\x7e]+$/.test(name) && !/[/:%,=]/.test(name);
  if (valid) return name;
  throw new InvalidConfigurationError({
    operation: "use network interface",
    subject: JSON.stringify(name.slice(0, 64)),
    reason: "the name is not valid",
    remedy: `1 to ${IFNAMSIZ - 1} printable ASCII characters, no blanks and none of / : % , =`,
  });
}
