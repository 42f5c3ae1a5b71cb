import { UnsupportedError } from "../../errors.ts";
import type { GuestNetwork } from "../types.ts";
import { argumentsOf, inexpressible } from "./arguments.ts";
import type { Guest } from "./types.ts";

/** Parameters of its kernel, which it finds in every word, after `--` too (src/param.zig). */
const PARAMETERS = ["ip", "gateway", "dns", "epoch"];

/** max_argc, src/args.zig. */
const MAXIMUM_ARGUMENTS = 64;

/**
 * A Mewz unikernel, which is a WebAssembly program with its kernel. Words that follow `--` are the
 * program's arguments, the first its name, split at spaces and nothing else (src/args.zig); the releases
 * up to 0.1.3 pass none. It has no environment.
 *
 * `epoch`, a time in seconds, is not given: the kernel reads the clock of the machine, and takes that
 * parameter only where there is none.
 */
export const mewz: Guest = {
  type: "mewz",
  shutsDown: false,
  singleProcessor: true,
  // src/pci.zig uses a device's BARs as it finds them.
  needsBios: true,
  modernVirtio: true,
  takesNameservers: true,
  commandLine({ network, nameservers = [], ...input }) {
    const { args, subject } = argumentsOf(input);
    if (args.length > MAXIMUM_ARGUMENTS) {
      throw new UnsupportedError({
        operation: "write the guest's command line",
        subject: subject(MAXIMUM_ARGUMENTS),
        reason: `there are ${args.length} arguments, and Mewz reads ${MAXIMUM_ARGUMENTS}`,
        remedy: "pass fewer arguments",
      });
    }
    args.forEach((argument, index) => checkArgument(argument, subject(index)));
    const words = [
      ...address(network?.ipv4, nameservers),
      ...args.length === 0 ? [] : ["--", ...args],
    ];
    return words.length === 0 ? undefined : words.join(" ");
  },
};

/**
 * It has a network only with a gateway. Where there is none its own address stands for it: then it
 * reaches its subnet.
 */
function address(ipv4: GuestNetwork["ipv4"], nameservers: string[]): string[] {
  if (ipv4 === undefined) return [];
  const { address, prefixLength, gateway = address } = ipv4;
  const dns = nameservers.slice(0, 1).map((it) => `dns=${it}`);
  return [`ip=${address}/${prefixLength}`, `gateway=${gateway}`, ...dns];
}

function checkArgument(argument: string, subject: string): void {
  const reason = argument === ""
    ? "Mewz drops an empty argument"
    : argument === "--"
    ? "Mewz drops it, and takes it for the end of its own parameters"
    : argument.includes(" ")
    ? "Mewz splits it at its spaces"
    : argument.includes("\0")
    ? "it contains a NUL character"
    : PARAMETERS.some((name) => argument.startsWith(`${name}=`))
    ? "Mewz takes it for a parameter of its kernel"
    : undefined;
  if (reason !== undefined) throw inexpressible(subject, argument, reason);
}
