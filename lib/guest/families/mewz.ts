import { UnsupportedError } from "../../errors.ts";
import { argumentsOf } from "./arguments.ts";
import type { Guest } from "./types.ts";

/**
 * A Mewz unikernel, which is a WebAssembly program with its kernel. It knows two parameters, `ip` and
 * `gateway`, and passes its program neither arguments nor environment. But a container must have at least
 * one argument, so the first counts as the program's name.
 */
export const mewz: Guest = {
  type: "mewz",
  shutsDown: false,
  // src/pci.zig uses a device's BARs as it finds them.
  needsBios: true,
  modernVirtio: true,
  commandLine(input) {
    const { args, subject } = argumentsOf(input);
    if (args.length > 1) {
      throw new UnsupportedError({
        operation: "write the guest's command line",
        subject: subject(1),
        reason: "Mewz passes its program no arguments",
        remedy: "leave only the program's name",
      });
    }
    const ipv4 = input.network?.ipv4;
    if (ipv4 === undefined) return undefined;
    const gateway = ipv4.gateway === undefined ? "" : ` gateway=${ipv4.gateway}`;
    return `ip=${ipv4.address}/${ipv4.prefixLength}${gateway}`;
  },
};
