import { UnsupportedError } from "../../errors.ts";
import type { BootingMonitor, GuestInput, GuestNetwork } from "../types.ts";
import { argumentsOf, untellable } from "./arguments.ts";
import { netmaskOf } from "./netmask.ts";
import type { Guest } from "./types.ts";

/** CONFIG_LIBUKBOOT_MAXNBARGS: what comes after so many words is dropped without a word. */
const MAXIMUM_WORDS = 60;

/** Of name servers in `netdev.ip`: dns0 and dns1 (lib/uknetdev/netdev.c). */
const MAXIMUM_NAMESERVERS = 2;

/** From this version on there are `netdev.ip` and `vfs.fstab`. */
const CURRENT = [0, 16, 1];

/**
 * A Unikraft unikernel. Its line is the program's name, parameters of its libraries
 * (`LIBRARY.NAME=VALUE`, or a list of values in `[` `]`), `--`, and the program's arguments. Words are
 * split and unquoted first, by rules of their own (lib/ukargparse/argparse.c), then the parameters
 * are taken out (lib/uklibparam/parser.c). IPv4 only, as its network stack.
 *
 * Images that do not tell their version, and such that tell none we can read, are taken for new ones.
 */
export const unikraft: Guest = {
  type: "unikraft",
  shutsDown: false,
  // qboot's memory map has no reserved region after RAM: the boot code splits it at no page's end and
  // stops at its own assertion (0.15 to 0.17, plat/common/memory.c and lib/ukboot/boot.c).
  needsBios: true,
  // virtio_net.c reads `mac` where it should read `mtu` (0.15 and on): the first two bytes of the MAC.
  misreadsMtu: true,
  takesNameservers: true,
  commandLine(input) {
    const { args, subject } = argumentsOf(input);
    // Without a name the first parameter would be taken for it.
    const [name = "unikraft", ...rest] = args.map((it, index) => quoted(it, subject(index)));
    const options = [
      ...environment(input.env),
      ...isCurrent(input.version) ? parameters(input) : oldParameters(input),
    ];
    const end = endOfOptions(input, options, rest, subject);
    const words = [name, ...options, ...end, ...rest];
    if (words.length > MAXIMUM_WORDS) {
      throw new UnsupportedError({
        operation: "write the guest's command line",
        reason: `arguments, environment and addresses are ${words.length} words, and Unikraft ` +
          `reads ${MAXIMUM_WORDS}`,
        remedy: "pass fewer arguments and variables",
      });
    }
    const line = words.join(" ");
    if (input.monitor?.insertsParameters && end.length > 0) {
      requireFoundEnd(line, [name, ...options].join(" ").length, input.monitor);
    }
    return line;
  },
};

/**
 * `--` after the parameters. Without any there must be none: Unikraft would hand it to the program,
 * and take an argument `--` for it (lib/ukboot/early_init.c).
 *
 * A monitor that inserts parameters of its own in front of `--` takes it away when nothing follows;
 * Unikraft then takes the parameters for arguments. A pair of quotes is something for one, and no
 * word for the other.
 */
function endOfOptions(
  { monitor, network }: GuestInput,
  options: string[],
  rest: string[],
  subject: (index: number) => string,
): string[] {
  const { insertsParameters = false, title = "" } = monitor ?? {};
  if (options.length > 0) return insertsParameters && rest.length === 0 ? ["--", "''"] : ["--"];
  const at = rest.indexOf("--");
  if (at >= 0) {
    throw untellable(subject(at + 1), "--", "Unikraft takes it for the end of parameters");
  }
  if (insertsParameters && network !== undefined) {
    const reason = `Unikraft would take ${title}'s parameters for arguments`;
    throw untellable("network", "no IPv4 address", reason);
  }
  return [];
}

/** Such a monitor looks for the first ` -- ` outside double quotes only. */
function requireFoundEnd(line: string, expected: number, { title }: BootingMonitor): void {
  for (let at = line.indexOf(" -- "); at >= 0; at = line.indexOf(" -- ", at + 1)) {
    const quotes = line.slice(0, at).split('"').length - 1;
    if (quotes % 2 !== 0) continue;
    if (at === expected) return;
    break;
  }
  throw untellable("process", line, `${title} would misread " -- " among its quotes`);
}

function isCurrent(version = ""): boolean {
  const [, ...digits] = /^v?(\d+)(?:\.(\d+))?(?:\.(\d+))?/.exec(version) ?? [];
  if (digits.length === 0) return true;
  for (const [index, least] of CURRENT.entries()) {
    const number = Number(digits[index] ?? 0);
    if (number !== least) return number > least;
  }
  return true;
}

function parameters({ network, hasInitrd, nameservers = [] }: GuestInput): string[] {
  return [
    ...address(network?.ipv4, nameservers),
    // The disk is an archive that is unpacked to the root directory.
    ...(hasInitrd ? ["vfs.fstab=[", '"initrd0:/:extract:::"', "]"] : []),
  ];
}

/** `cidr[:gw[:dns0[:dns1[:hostname[:domain]]]]]`. */
function address(ipv4: GuestNetwork["ipv4"], nameservers: string[]): string[] {
  if (ipv4 === undefined) return [];
  const servers = nameservers.slice(0, MAXIMUM_NAMESERVERS);
  const fields = [`${ipv4.address}/${ipv4.prefixLength}`, ipv4.gateway ?? "", ...servers];
  return [`netdev.ip=${fields.join(":").replace(/:+$/, "")}`];
}

function oldParameters({ network, hasInitrd }: GuestInput): string[] {
  const ipv4 = network?.ipv4;
  return [
    ...(ipv4 === undefined ? [] : [
      `netdev.ipv4_addr=${ipv4.address}`,
      ...(ipv4.gateway === undefined ? [] : [`netdev.ipv4_gw_addr=${ipv4.gateway}`]),
      `netdev.ipv4_subnet_mask=${netmaskOf(ipv4)}`,
    ]),
    ...(hasInitrd ? ["vfs.rootfs=initrd"] : []),
  ];
}

function environment(env: string[]): string[] {
  if (env.length === 0) return [];
  const words = env.map((entry, index) => {
    const subject = `process.env[${index}]`;
    const name = entry.slice(0, Math.max(0, entry.indexOf("=")));
    if (name === "") throw untellable(subject, entry, "it is no NAME=VALUE");
    if (entry.endsWith("]")) {
      throw untellable(subject, name, "Unikraft takes a ] at its end for the end of all variables");
    }
    return quoted(entry, subject);
  });
  return ["env.vars=[", ...words, "]"];
}

/**
 * Single quotes protect everything but themselves; in double ones a backslash protects `"` and `\`.
 * Quotes with nothing in them are no word.
 */
function quoted(word: string, subject: string): string {
  if (word === "") {
    throw untellable(subject, word, "Unikraft drops an empty word");
  }
  if (word.includes("\0")) throw untellable(subject, word, "it holds a NUL character");
  if (!/[ \r\n\t\v'"\\]/.test(word)) return word;
  return word.includes("'") ? `"${word.replaceAll(/["\\]/g, "\\$&")}"` : `'${word}'`;
}
