import { InvalidConfigurationError } from "../../errors.ts";
import { keyPrefix } from "../keys.ts";
import { quoteArgument } from "./quote.ts";
import type { Guest } from "./types.ts";

/** MAX_ARG_STRLEN in linux/binfmts.h, 32 pages: a monitor gets the line as one argument. */
const argumentSize = 32 * 4096;

/**
 * An ELF image that boots by PVH or multiboot, or a Solo5 one, that belongs to no other family. `elf` is
 * urunc's own name for them.
 *
 * It gets the arguments, joined with spaces, in the Linux kernel's notation: white space outside
 * double quotes separates, a pair of quotes around a whole argument belongs to the notation, and
 * there is no escape. Without arguments it gets the image's `cmdline` as it is. There is no convention
 * for passing environment or addresses to such an image, so it does not get them.
 */
export const elf: Guest = {
  type: "elf",
  // It has neither ACPI nor a keyboard driver.
  shutsDown: false,
  disks: { most: 8, mount: "raw", fileSystems: [] },
  commandLine({ args, cmdline = "" }) {
    const line = args.length === 0
      ? cmdline
      : args.map((it, index) => quoteArgument(it, `process.args[${index}]`)).join(" ");
    const length = new TextEncoder().encode(line).length;
    if (length >= argumentSize) {
      throw new InvalidConfigurationError({
        operation: "write the guest's command line",
        subject: args.length === 0 ? `${keyPrefix}cmdline` : "process.args",
        reason: `it is ${length} bytes long, and a monitor's argument has at most ${
          argumentSize - 1
        }`,
      });
    }
    return line === "" ? undefined : line;
  },
};
