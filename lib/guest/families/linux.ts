import { arch } from "../../arch/arch.ts";
import { InvalidConfigurationError, UnsupportedError } from "../../errors.ts";
import { keyPrefix } from "../keys.ts";
import { GUEST_INIT_PATH, type GuestProcess } from "../initrd/segment.ts";
import type { GuestInput } from "../types.ts";
import { isKernelParameter } from "./kernel_parameters.ts";
import { argumentsOf, DEFAULT_INIT, EMPTY, processOf } from "./linux_process.ts";
import { rootOf } from "./linux_root.ts";
import { checkHostname } from "./hostname.ts";
import { netmaskOf } from "./netmask.ts";
import { quoteArgument, splitArguments } from "./quote.ts";
import type { Guest } from "./types.ts";

/**
 * CONFIG_INIT_ENV_ARG_LIMIT, by default 32: how many arguments the kernel passes to init besides its
 * name, and the index of the last variable (init/main.c). One more, and the guest panics at boot.
 */
const initLimit = 32;

/** The kernel itself sets these for init; the container's values replace them. */
const presetVariables = ["HOME", "TERM"];

/** The documented host name of a guest without one. */
const defaultHostname = "urunc";

const operation = "write the guest's command line";

/**
 * A Linux kernel, with or without an initial RAM disk.
 *
 * `panic=-1` reboots at once when init exits, and the monitor exits on a reboot. The first argument is
 * init, the others are its arguments; without arguments those in the image's `cmdline` are used; without
 * either the kernel looks for its default (`/init` in an initramfs).
 *
 * A disk that is the guest's root (`mountPoint` `/`) is `root=/dev/vda`. An agent mounts it, with drivers
 * of the initial RAM disk if there is one. Without an agent the kernel starts that one's own `/init`, which,
 * as every distribution's does, finds the root by the same parameter and starts `init=` there; so the RAM
 * disk passes nothing on then.
 *
 * Arguments and environment are passed in one of two ways:
 *
 * - in the initial RAM disk (`initrd/segment.ts`): any text of any length, which does not show among the
 *   monitor's arguments on the host. Used whenever the image has a RAM disk that files can be added to,
 *   and there is an environment, IPv6 or a name server, or they do not fit the command line;
 * - otherwise on the kernel's command line; what does not fit there unchanged is refused.
 *
 * The key `environment` chooses one. Addresses are always on the command line, as far as it can express
 * them, and in the RAM disk if that is used: IPv6, and IPv4 for kernels that do not know `ip=`.
 *
 * `net.ifnames=0` is a parameter of udev: otherwise it renames the interface that `ip=` names, for which
 * a distribution's initial RAM disk then waits three minutes (systemd-udevd.service(8)).
 *
 * @see https://docs.kernel.org/admin-guide/kernel-parameters.html, and init/main.c
 */
export const linux: Guest = {
  type: "linux",
  shutsDown: true,
  takesNameservers: true,
  agent: { refuse: refuseAgent, ownInit },
  takesLinuxImage: true,
  takesKernelParameters: true,
  disks: {
    // Far fewer than slots on a bus, or interrupts for Firecracker's devices.
    most: 8,
    mount: "root",
    mountPoint: "/",
    fileSystems: ["ext2", "ext3", "ext4", "xfs", "btrfs"],
  },
  commandLine(input) {
    const initrdProcess = processInInitrd(input);
    const init = `rdinit=${GUEST_INIT_PATH}`;
    return lineWith(input, initrdProcess === undefined ? processWords(input) : [init]);
  },
  processInInitrd,
};

function processInInitrd(input: GuestInput): GuestProcess | undefined {
  if (input.agent !== undefined) return processOf(input);
  if (input.loadsDrivers) return requireRoom(input);
  if (input.environment === "cmdline") return undefined;
  if (rootOf(input) !== undefined && input.environment === undefined) return undefined;
  if (!input.hasInitrd || !input.isInitramfs || rootOf(input) !== undefined) {
    if (input.environment === undefined) return undefined;
    throw new InvalidConfigurationError({
      operation: "pass arguments and environment",
      subject: `${keyPrefix}environment`,
      reason: rootOf(input) !== undefined
        ? 'it is "initrd", but the guest\'s root is a disk, where only the command line is passed on'
        : input.hasInitrd
        ? 'it is "initrd", but the initial RAM disk is not an archive that files can be added to'
        : 'it is "initrd", but the image has no initial RAM disk',
      remedy:
        "leave the key out; put a secret in a file of the image rather than on the command line, " +
        "which the host's ps shows",
    });
  }
  const belongsThere = input.environment === "initrd" || input.env.length > 0 ||
    exceedsLine(input);
  return belongsThere || !fitsLine(input) ? processOf(input) : undefined;
}

/** Without our init in the initial RAM disk nothing would load the drivers. */
function requireRoom(input: GuestInput): GuestProcess {
  const reason = input.environment === "cmdline"
    ? `${keyPrefix}environment is "cmdline"`
    : input.sharedRoot !== undefined
    ? "the container's root is shared with the guest, which only an agent mounts, and it has none"
    : rootOf(input) !== undefined
    ? "the guest's root is a disk, which only an agent mounts, and it has none"
    : input.isInitramfs
    ? undefined
    : "the image's initial RAM disk is not an archive that files can be added to";
  if (reason === undefined) return processOf(input);
  throw new UnsupportedError({
    operation: "load the drivers of the node's kernel",
    reason,
    remedy: rootOf(input) === undefined && input.sharedRoot === undefined
      ? `leave the key out, or bring a kernel in the image, by ${keyPrefix}binary`
      : `${keyPrefix}agent "on" gives it one, which runs an init as any program`,
  });
}

/** The agent is a file of the initial RAM disk, which may have nothing else when the root is a disk. */
function refuseAgent(input: GuestInput): string | undefined {
  if (input.environment === "cmdline") return `${keyPrefix}environment is "cmdline"`;
  if (input.hasInitrd && !input.isInitramfs) {
    return "the image's initial RAM disk is not an archive that files can be added to";
  }
  return input.hasInitrd || rootOf(input) !== undefined
    ? undefined
    : "the image has neither an initial RAM disk nor a disk as its root";
}

/** Where Linux looks for its init (init/main.c), and where distributions have systemd. */
const INITS = ["/sbin/init", "/etc/init", "/bin/init", "/usr/sbin/init", "/usr/bin/init"]
  .concat(["/lib/systemd/systemd", "/usr/lib/systemd/systemd", "/bin/systemd", "/usr/bin/systemd"]);

/** `/init` is one in a RAM disk only: on a disk it is a program of any image's. */
function ownInit(input: GuestInput): string | undefined {
  // Without an agent nothing would mount its files.
  if (input.sharedRoot !== undefined) return undefined;
  const [program = ""] = argumentsOf(input);
  const isInit = INITS.includes(program) ||
    (program === DEFAULT_INIT && rootOf(input) === undefined);
  return isInit ? program : undefined;
}

/** IPv6 and name servers, for which a kernel has no parameters. */
function exceedsLine({ network, resolvConf }: GuestInput): boolean {
  return network !== undefined && (network.ipv6 !== undefined || resolvConf !== undefined);
}

function fitsLine(input: GuestInput): boolean {
  try {
    lineWith(input, processWords(input));
    return true;
  } catch (error) {
    if (error instanceof InvalidConfigurationError) return false;
    throw error;
  }
}

function processWords(input: GuestInput): string[] {
  return [...environment(input), ...initAndArguments(input)];
}

/** @throws InvalidConfigurationError when the kernel would truncate the line */
function lineWith(input: GuestInput, words: string[]): string {
  const line = [
    `panic=-1 console=${arch.linux.console} net.ifnames=0`,
    ...input.monitor?.linuxParameters ?? [],
    ...input.kernelParameters ?? [],
    // An initramfs ignores root=; an initrd that is a file system image needs it.
    ...rootParameters(input),
    ...addressParameter(input),
    ...words,
  ].join(" ");
  const length = new TextEncoder().encode(line).length;
  const room = arch.linux.commandLineBytes;
  if (length < room) return line;
  throw new InvalidConfigurationError({
    operation,
    reason: `arguments and environment make it ${length} bytes long, and the Linux kernel ` +
      `reads at most ${room - 1}`,
    remedy: "pass fewer or shorter arguments and variables, or put them in a file of the image; " +
      "a guest that stays in its initial RAM disk, without a root disk, can be given any",
  });
}

function rootParameters(input: GuestInput): string[] {
  const disk = rootOf(input);
  if (disk === undefined) return input.hasInitrd ? ["root=/dev/ram0 rw"] : [];
  return [
    `root=/dev/${disk.name} ${disk.readOnly ? "ro" : "rw"}`,
    ...disk.fileSystem === undefined ? [] : [`rootfstype=${disk.fileSystem}`],
  ];
}

/**
 * `ip=client:server:gateway:netmask:hostname:device:autoconf`. It knows IPv4 only.
 *
 * @see https://docs.kernel.org/admin-guide/nfs/nfsroot.html
 */
function addressParameter({ network, hostname, agent }: GuestInput): string[] {
  const ipv4 = network?.ipv4;
  // An agent sets all of it up, and before the interface is.
  if (ipv4 === undefined || agent !== undefined) return [];
  const name = checkHostname(hostname ?? defaultHostname, "hostname");
  const netmask = netmaskOf(ipv4);
  return [`ip=${ipv4.address}::${ipv4.gateway ?? ""}:${netmask}:${name}:eth0:off`];
}

/**
 * The kernel passes `NAME=VALUE` words that it does not know to init as its environment; of a repeated
 * name the last counts.
 */
function environment({ env, network }: GuestInput): string[] {
  const words = new Map<string, string>();
  env.forEach((entry, index) => {
    const name = entry.slice(0, Math.max(0, entry.indexOf("=")));
    const subject = `process.env[${index}]`;
    checkVariableName(name, subject);
    words.set(name, quoteArgument(entry, subject));
  });
  const own = [...words.keys()].filter((name) => !presetVariables.includes(name)).length;
  // A kernel without CONFIG_IP_PNP does not know ip=, and treats it as one more variable.
  const limit = initLimit + 1 - presetVariables.length - (network?.ipv4 === undefined ? 0 : 1);
  if (own > limit) {
    throw new InvalidConfigurationError({
      operation,
      subject: "process.env",
      reason: `it has ${own} variables, and the Linux kernel passes at most ${limit} to init`,
      remedy: "pass fewer; in Kubernetes, enableServiceLinks: false",
    });
  }
  return [...words.values()];
}

function checkVariableName(name: string, subject: string): void {
  const reason = name === ""
    ? "not NAME=VALUE"
    : name.includes(".")
    ? `the Linux kernel treats a name with a dot, such as ${JSON.stringify(name)}, as a module's ` +
      "parameter and drops it"
    : isKernelParameter(name)
    ? `${name} is a parameter of the Linux kernel itself`
    : undefined;
  if (reason === undefined) return;
  throw new InvalidConfigurationError({
    operation,
    subject,
    reason,
    remedy: "give the variable another name; names in capitals are safe",
  });
}

/** `rdinit=` is init in an initramfs, `init=` on a root file system; `--` ends the kernel's own. */
function initAndArguments(input: GuestInput): string[] {
  const fromImage = input.args.length === 0;
  const key = `${keyPrefix}cmdline`;
  const args = fromImage ? splitArguments(input.cmdline ?? "", key) : input.args;
  const words = args.map((argument, index) => {
    const subject = fromImage ? key : `process.args[${index}]`;
    const inInitrd = input.hasInitrd && rootOf(input) === undefined;
    if (index === 0) return initParameter(argument, subject, inInitrd);
    if (argument === "--") throw endOfArguments(subject);
    return quoteArgument(argument, subject);
  });
  if (words.length - 1 > initLimit) {
    throw new InvalidConfigurationError({
      operation,
      subject: fromImage ? key : "process.args",
      reason: `init has ${words.length - 1} arguments, and the Linux kernel passes at most ` +
        `${initLimit}`,
      remedy: "pass fewer arguments",
    });
  }
  return words.length > 1 ? [words[0]!, "--", ...words.slice(1)] : words;
}

function initParameter(init: string, subject: string, inInitrd: boolean): string {
  if (init === "") {
    throw new InvalidConfigurationError({
      operation,
      subject,
      ...EMPTY,
    });
  }
  return quoteArgument(`${inInitrd ? "rdinit" : "init"}=${init}`, subject);
}

/** parse_args() in kernel/params.c stops at every `--`: what follows a second one would be lost. */
function endOfArguments(subject: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation,
    subject,
    reason: 'the Linux kernel treats the argument "--" as the end of all arguments',
    remedy: "leave it out, or put the command in a script of the image",
  });
}
