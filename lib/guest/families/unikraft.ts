import { UnsupportedError } from "../../errors.ts";
import type { BootingMonitor, GuestInput, GuestNetwork } from "../types.ts";
import { argumentsOf, inexpressible } from "./arguments.ts";
import { CRASHED } from "./exit_codes.ts";
import { checkHostname } from "./hostname.ts";
import { netmaskOf } from "./netmask.ts";
import type { Guest } from "./types.ts";

/** CONFIG_LIBUKBOOT_MAXNBARGS: further words are silently dropped. */
const MAXIMUM_WORDS = 60;

/** Default of CONFIG_LIBPOSIX_ENVIRON_LIBPARAM_MAXCOUNT: further variables are dropped, too. */
const DEFAULT_VARIABLES = 8;

/** What its network stack takes without another: UK_ETH_PAYLOAD_MAXLEN, lib/uknetdev. */
const DEFAULT_MTU = 1500;

/** Of name servers in `netdev.ip`: dns0 and dns1 (lib/uknetdev/netdev.c). */
const MAXIMUM_NAMESERVERS = 2;

/** The first versions with `vfs.fstab`, with `netdev.ip`, and with `ramfs=` in the former. */
const WITH_FSTAB = [0, 14, 0];
const WITH_NETDEV_IP = [0, 16, 1];
const WITH_RAMFS_OPTION = [0, 16, 2];

/**
 * The first that does not insert the video memory as a region of its own, which must not overlap a reserved
 * one (plat/common/memory.c): https://github.com/unikraft/unikraft/issues/1410.
 */
const WITHOUT_VIDEO_MEMORY = [0, 17, 1];

/**
 * Not a parameter of any library: words without a dot are skipped. Without a word before `--` Unikraft
 * passes all words to the program, `--` too (lib/ukboot/boot.c).
 */
const NO_PARAMETER = "unikraft";

/**
 * A Unikraft unikernel. Its line is the program's name, parameters of its libraries
 * (`LIBRARY.NAME=VALUE`, or a list of values in `[` `]`), `--`, and the program's arguments. Words are
 * split and unquoted first (lib/ukargparse/argparse.c), then the parameters are removed
 * (lib/uklibparam/parser.c). IPv4 only, like its network stack.
 *
 * QEMU prepends the kernel's path, which is the program's name there whatever the container says. An
 * image without a version, or with one that cannot be read, counts as new.
 */
export const unikraft: Guest = {
  type: "unikraft",
  shutsDown: false,
  // The other firmware's memory map has no reserved region after RAM: the boot code then splits it not at
  // a page's end, and fails its own assertion (0.15 to 0.17, plat/common/memory.c and
  // lib/ukboot/boot.c).
  needsBios: true,
  // virtio_net.c reads `mac` where it should read `mtu` (0.15 and on): the first two bytes of the MAC.
  misreadsMtu: true,
  takesNameservers: true,
  // It powers off by ACPI and then writes 41 to the debug exit port, whichever QEMU is quicker to act on,
  // and 42 when it crashes (cpu_native.c in plat/common). 0.14 and 0.15 take any other value of main() than
  // 0 for a crash (lib/ukboot/boot.c); since 0.16 what it returned is not reported.
  debugExitCodes: { 41: 0, 42: CRASHED },
  commandLine(input) {
    const { monitor } = input;
    const { args, subject } = argumentsOf(input);
    const [name = NO_PARAMETER, ...rest] = args.map((it, index) =>
      index === 0 && monitor?.namesKernel ? NO_PARAMETER : quoted(it, subject(index))
    );
    const options = [...environment(input.env), ...parameters(input)];
    const before = [name, ...options];
    if (!monitor?.namesKernel && options.length === 0) before.push(NO_PARAMETER);
    // A monitor that inserts parameters drops `--` when nothing follows. A pair of quotes is something
    // to it, and not a word to Unikraft.
    const after = monitor?.insertsParameters && rest.length === 0 ? ["''"] : rest;
    requireFewWords(before.length + 1 + rest.length, input);
    const line = [...before, "--", ...after].join(" ");
    if (monitor?.insertsParameters) requireFoundEnd(line, before.join(" ").length, monitor);
    return line;
  },
  warnings: ({ env, network, monitor, version }) => [
    ...!monitor?.reservesVideoMemory || isSince(version, WITHOUT_VIDEO_MEMORY) ? [] : [
      `the guest is of Unikraft ${version}: up to 0.17.0 it stops at an assertion when it boots on ` +
      `${monitor.title} 1.8 or later, and the container's exit code is 0`,
    ],
    ...env.length <= DEFAULT_VARIABLES ? [] : [
      `process.env has ${env.length} variables: a Unikraft guest drops those after its first ` +
      `${DEFAULT_VARIABLES} unless it is built with more ` +
      "(CONFIG_LIBPOSIX_ENVIRON_LIBPARAM_MAXCOUNT)",
    ],
    ...network === undefined || network.mtu >= DEFAULT_MTU ? [] : [
      `the network's MTU is ${network.mtu}, which a Unikraft guest is not given, since it would misread ` +
      `it: it sends up to ${DEFAULT_MTU} bytes`,
    ],
  ],
};

/** @throws UnsupportedError for more words than the monitor's own leave room for */
function requireFewWords(words: number, { monitor, network }: GuestInput): void {
  const devices = network === undefined ? 0 : 1;
  const path = monitor?.namesKernel ? 1 : 0;
  const most = MAXIMUM_WORDS - path - (monitor?.insertsParameters ? 1 + devices : 0);
  if (words <= most) return;
  throw new UnsupportedError({
    operation: "write the guest's command line",
    reason: `arguments, environment and addresses are ${words} words, and Unikraft reads ${most}`,
    remedy: "pass fewer arguments and variables; in Kubernetes, enableServiceLinks: false",
  });
}

/** Such a monitor looks for the first ` -- ` outside double quotes only. */
function requireFoundEnd(line: string, expected: number, { title }: BootingMonitor): void {
  for (let at = line.indexOf(" -- "); at >= 0; at = line.indexOf(" -- ", at + 1)) {
    const quotes = line.slice(0, at).split('"').length - 1;
    if (quotes % 2 !== 0) continue;
    if (at === expected) return;
    break;
  }
  throw inexpressible("process", line, `${title} would misread " -- " among its quotes`);
}

/** @param version of a guest; without one it counts as new */
function isSince(version = "", least: number[]): boolean {
  const [, ...digits] = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(version) ?? [];
  if (digits.length === 0) return true;
  for (const [index, expected] of least.entries()) {
    const number = Number(digits[index] ?? 0);
    if (number !== expected) return number > expected;
  }
  return true;
}

function parameters(input: GuestInput): string[] {
  const isCurrent = isSince(input.version, WITH_NETDEV_IP);
  return [
    ...isCurrent ? address(input) : oldAddress(input.network?.ipv4),
    ...input.hasInitrd ? rootParameters(input.version) : [],
  ];
}

/**
 * The initial RAM disk is an archive that is unpacked to the root directory. Where that takes a file
 * system to unpack to, one is asked for, if there is none yet (`ramfs=2`, lib/vfscore/automount.c).
 */
function rootParameters(version: string | undefined): string[] {
  if (!isSince(version, WITH_FSTAB)) return ["vfs.rootfs=initrd"];
  const volume = isSince(version, WITH_RAMFS_OPTION)
    ? "initrd0:/:extract::ramfs=2:"
    : isSince(version, WITH_NETDEV_IP)
    ? "initrd0:/:extract:::"
    : "initrd0:/:initrd";
  return ["vfs.fstab=[", `"${volume}"`, "]"];
}

/** `cidr[:gw[:dns0[:dns1[:hostname[:domain]]]]]`, lib/uknetdev/netdev.c. */
function address({ network, nameservers = [], hostname, domainname }: GuestInput): string[] {
  const ipv4 = network?.ipv4;
  if (ipv4 === undefined) return [];
  const [dns0 = "", dns1 = ""] = nameservers.slice(0, MAXIMUM_NAMESERVERS);
  const fields = [
    `${ipv4.address}/${ipv4.prefixLength}`,
    ipv4.gateway ?? "",
    dns0,
    dns1,
    hostname === undefined ? "" : checkHostname(hostname, "hostname"),
    domainname === undefined ? "" : checkHostname(domainname, "domainname"),
  ];
  return [`netdev.ip=${fields.join(":").replace(/:+$/, "")}`];
}

function oldAddress(ipv4: GuestNetwork["ipv4"]): string[] {
  if (ipv4 === undefined) return [];
  return [
    `netdev.ipv4_addr=${ipv4.address}`,
    ...(ipv4.gateway === undefined ? [] : [`netdev.ipv4_gw_addr=${ipv4.gateway}`]),
    `netdev.ipv4_subnet_mask=${netmaskOf(ipv4)}`,
  ];
}

function environment(env: string[]): string[] {
  if (env.length === 0) return [];
  const words = env.map((entry, index) => {
    const subject = `process.env[${index}]`;
    const name = entry.slice(0, Math.max(0, entry.indexOf("=")));
    if (name === "") throw inexpressible(subject, entry, "not NAME=VALUE");
    if (entry.endsWith("]")) {
      throw inexpressible(
        subject,
        name,
        "Unikraft treats a ] at its end as the end of all variables",
      );
    }
    return quoted(entry, subject);
  });
  return ["env.vars=[", ...words, "]"];
}

/**
 * Single quotes protect everything but themselves; in double ones a backslash protects `"` and `\`.
 * Empty quotes are not an argument.
 */
function quoted(word: string, subject: string): string {
  if (word === "") {
    throw inexpressible(subject, word, "Unikraft drops an empty word");
  }
  if (word.includes("\0")) throw inexpressible(subject, word, "it contains a NUL character");
  if (!/[ \r\n\t\v'"\\]/.test(word)) return word;
  return word.includes("'") ? `"${word.replaceAll(/["\\]/g, "\\$&")}"` : `'${word}'`;
}
