import { argumentsOf, inexpressible } from "./arguments.ts";
import type { Guest } from "./types.ts";

/** The option of its resolver, since 4.11; a guest without a resolver exits when it is given it. */
const DNS_SERVERS = "--dns-servers";

/** The options of its network stack. */
const IPV4 = "--ipv4";
const GATEWAY = "--ipv4-gateway";

/** The same of a stack in a group, which has its own prefix (lib_runtime/mirage_runtime_network.ml). */
const GROUPED = /^--[^=]+-ipv4(-gateway)?(=|$)/;

/** Stack, and OCaml's heaps: measured 4.6 with OCaml 5.3.0 (ocaml-solo5 1.2.0), on spt and virtio. */
const RUNTIME_BYTES = 4.6 * 1024 * 1024;

/**
 * A MirageOS unikernel, on Solo5's tenders or its virtio bindings.
 *
 * It reads its arguments from one line (mirage-bootvar-solo5), split at spaces, where double quotes
 * and backslashes protect (parse-argv, src/parse_argv.ml), and puts a name of its own before them. So the
 * container's first argument, the program's name, is left out unless it is an option: a guest exits with
 * 64 on one that is neither. Its addresses are arguments that MirageOS
 * itself defines (`--ipv4`, `--ipv4-gateway`), unless they are given, for a group, too; `--ipv6` is not, in a unikernel whose stack is IPv4
 * only, which exits on an unknown option, so IPv6 is left to router advertisements. `--dns-servers`
 * without a value gets the container's name servers. It has no environment.
 */
export const mirage: Guest = {
  type: "mirage",
  shutsDown: false,
  singleProcessor: true,
  runtimeBytes: RUNTIME_BYTES,
  // Solo5's virtio bindings use a PCI device's BAR as they find it (bindings/virtio/pci.c).
  needsBios: true,
  takesNameservers: true,
  // They write 41 whatever the guest exits with, and when it aborts (bindings/virtio/platform.c).
  debugExitCodes: { 41: 0 },
  // mirage-block-solo5 and its kin read sectors.
  disks: { most: 8, mount: "raw", fileSystems: [] },
  commandLine(input) {
    const { args, subject } = argumentsOf(input);
    const ipv4 = input.network?.ipv4;
    const own = args[0]?.startsWith("-") ? 0 : 1;
    const given = args.slice(own);
    const words = [
      ...unlessGiven(IPV4, ipv4 && `${ipv4.address}/${ipv4.prefixLength}`, given),
      ...unlessGiven(GATEWAY, ipv4?.gateway, given),
      ...given.flatMap((argument, index) =>
        isWithoutValue(given, index)
          ? nameservers(input.nameservers ?? [])
          : [quoted(argument, subject(index + own))]
      ),
    ];
    return words.length === 0 ? undefined : words.join(" ");
  },
};

/** An option of the container's network; a guest exits on one that is repeated. */
function unlessGiven(option: string, value: string | undefined, given: string[]): string[] {
  const isGiven = given.some((it) =>
    it === option || it.startsWith(`${option}=`) || GROUPED.test(it)
  );
  return value === undefined || isGiven ? [] : [`${option}=${value}`];
}

/** Whether an argument is the option for name servers, and the next one is not its value. */
function isWithoutValue(given: string[], index: number): boolean {
  const next = given[index + 1];
  return given[index] === DNS_SERVERS && (next === undefined || next.startsWith("-"));
}

/** Without any name server the option is left out: the guest has a default. */
function nameservers(addresses: string[]): string[] {
  if (addresses.length === 0) return [];
  return [`${DNS_SERVERS}=${addresses.map((it) => `udp:${it}`).join(",")}`];
}

function quoted(argument: string, subject: string): string {
  if (argument === "") throw inexpressible(subject, argument, "MirageOS drops an empty argument");
  if (argument.includes("\0")) {
    throw inexpressible(subject, argument, "it contains a NUL character");
  }
  if (!/[ "\\]/.test(argument)) return argument;
  return `"${argument.replaceAll(/["\\]/g, "\\$&")}"`;
}
