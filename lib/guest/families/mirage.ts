import { argumentsOf, untellable } from "./arguments.ts";
import type { Guest } from "./types.ts";

/**
 * A MirageOS unikernel, on Solo5's tenders or its virtio bindings.
 *
 * It reads its arguments from one line (mirage-bootvar-solo5), split at spaces, where double quotes
 * and backslashes protect (parse-argv, src/parse_argv.ml). Its addresses are arguments that MirageOS
 * itself defines (`--ipv4`, `--ipv4-gateway`); `--ipv6` is not, in a unikernel whose stack is IPv4
 * only, which exits on an unknown option, so IPv6 is left to router advertisements. It has no environment.
 */
export const mirage: Guest = {
  type: "mirage",
  shutsDown: false,
  // Solo5's virtio bindings use a PCI device's BAR as they find it (bindings/virtio/pci.c).
  needsBios: true,
  // mirage-block-solo5 and its kin read sectors.
  disks: { most: 8, mount: "raw", fileSystems: [] },
  commandLine(input) {
    const { args, subject } = argumentsOf(input);
    const ipv4 = input.network?.ipv4;
    const words = [
      ...(ipv4 === undefined ? [] : [`--ipv4=${ipv4.address}/${ipv4.prefixLength}`]),
      ...(ipv4?.gateway === undefined ? [] : [`--ipv4-gateway=${ipv4.gateway}`]),
      ...args.map((argument, index) => quoted(argument, subject(index))),
    ];
    return words.length === 0 ? undefined : words.join(" ");
  },
};

function quoted(argument: string, subject: string): string {
  if (argument === "") throw untellable(subject, argument, "MirageOS drops an empty argument");
  if (argument.includes("\0")) throw untellable(subject, argument, "it contains a NUL character");
  if (!/[ "\\]/.test(argument)) return argument;
  return `"${argument.replaceAll(/["\\]/g, "\\$&")}"`;
}
