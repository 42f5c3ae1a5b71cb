import { InvalidConfigurationError } from "../../errors.ts";
import { keyPrefix } from "../keys.ts";
import { quoteArgument } from "./quote.ts";
import type { Guest } from "./types.ts";

/** MAX_ARG_STRLEN in linux/binfmts.h, 32 pages: a monitor gets the line as one argument. */
const argumentSize = 32 * 4096;

/**
 * A plain ELF image that boots by PVH or multiboot, or a plain Solo5 one: `elf` is urunc's own name
 * for what belongs to no other family.
 *
 * It gets the arguments, joined with spaces, in the Linux kernel's notation: white space outside
 * double quotes separates, a pair of quotes around a whole argument belongs to the notation, and
 * there is no escape. Without arguments it gets the image's `cmdline` as it stands. There is no
 * convention by which such an image would learn its environment or its addresses, so it does not.
 */
export const elf: Guest = {
  type: "elf",
  // Without ACPI and a keyboard driver, nothing that it is told would be heard.
  shutsDown: false,
  solo5NetDevice: "service",
  disks: { most: 8, mount: "raw", fileSystems: [], solo5Device: "storage" },
  commandLine({ args, cmdline = "" }) {
    const line = args.length === 0
      ? cmdline
      : args.map((it, index) => quoteArgument(it, `process.args[${index}]`)).join(" ");
    const length = new TextEncoder().encode(line).length;
    if (length >= argumentSize) {
      throw new InvalidConfigurationError({
        operation: "write the guest's command line",
        subject: args.length === 0 ? `${keyPrefix}cmdline` : "process.args",
        reason: `it is ${length} bytes long, and a monitor can be told at most ${argumentSize - 1}`,
      });
    }
    return line === "" ? undefined : line;
  },
};
