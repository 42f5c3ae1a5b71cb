import type { GuestDisk, GuestNetwork } from "../types.ts";
import { argumentsOf, untellable } from "./arguments.ts";
import type { Guest } from "./types.ts";

/** Anywhere in the line it names a configuration in the root file system, and nothing else counts. */
const FILE_MARK = "_RUMPRUN_ROOTFSCFG=";

/** Where urunc documents that a disk is mounted. */
const MOUNT_POINT = "/data";

/**
 * A Rumprun unikernel (NetBSD's drivers and libc) on Solo5's tenders. It is configured by what looks
 * like JSON and is read in two steps: jsmn finds the strings and leaves their escapes as they are,
 * and the command line is split by rules of its own (lib/librumprun_base/config.c, parseargs.c).
 * Several variables are several `env` keys, so the document is put together by hand.
 *
 * IPv4 only: it configures one address, of one family.
 */
export const rumprun: Guest = {
  type: "rumprun",
  shutsDown: false,
  solo5NetDevice: "tap",
  disks: {
    most: 1,
    mount: "below",
    mountPoint: MOUNT_POINT,
    // The only ones that Rumprun for Solo5 is built with, and Linux makes too.
    fileSystems: ["ext2"],
    solo5Device: "rootfs",
  },
  commandLine(input) {
    const { args, subject } = argumentsOf(input);
    const words = args.map((argument, index) => quoted(argument, subject(index)));
    const ipv4 = input.network?.ipv4;
    const members = [
      `"cmdline":"${words.join(" ")}"`,
      ...input.env.map((entry, index) => `"env":"${variable(entry, `process.env[${index}]`)}"`),
      ...(ipv4 === undefined ? [] : [`"net":${network(ipv4)}`]),
      ...(input.disks ?? []).map((disk) => `"blk":${block(disk)}`),
    ];
    const line = `{${members.join(",")}}`;
    if (line.includes(FILE_MARK)) {
      throw untellable("process", FILE_MARK, "Rumprun would look for a file to be configured by");
    }
    return line;
  },
};

/**
 * One argument, so that it comes through both steps:
 *
 * - only single quotes can protect white space: jsmn ends a string at a double one;
 * - within them a double quote would change which quote ends them, unless it is escaped;
 * - a single quote cannot be told: `\'` is no escape that jsmn lets through;
 * - every other escape that it lets through means the character after the backslash.
 */
function quoted(argument: string, subject: string): string {
  if (argument.includes("'")) {
    throw untellable(subject, argument, "Rumprun cannot be told a single quote");
  }
  if (argument.includes("\0")) throw untellable(subject, argument, "it holds a NUL character");
  const escaped = argument.replaceAll(/["\\]/g, "\\$&");
  return argument === "" || /[ \t\n]/.test(argument) ? `'${escaped}'` : escaped;
}

/** Variables are used with their escapes still in them, so there can be none. */
function variable(entry: string, subject: string): string {
  if (entry.indexOf("=") <= 0) throw untellable(subject, entry, "it is no NAME=VALUE");
  if (!/["\\\0]/.test(entry)) return entry;
  const name = entry.slice(0, entry.indexOf("="));
  throw untellable(subject, name, "Rumprun cannot be told a double quote or a backslash in it");
}

/** The names that Solo5's driver in Rumprun has; `cloner` makes the interface. */
function network(ipv4: NonNullable<GuestNetwork["ipv4"]>): string {
  return JSON.stringify({
    if: "ukvmif0",
    cloner: "True",
    type: "inet",
    method: "static",
    addr: ipv4.address,
    mask: String(prefixWithGateway(ipv4)),
    gw: ipv4.gateway,
  });
}

/** Solo5's block device is the host's file `/dev/ld0a` to it, and `blk` what is mounted from there. */
function block({ mountPoint }: GuestDisk): string {
  return JSON.stringify({
    source: "etfs",
    path: "/dev/ld0a",
    fstype: "blk",
    mountpoint: mountPoint ?? MOUNT_POINT,
  });
}

/**
 * NetBSD takes no gateway outside the interface's subnet, which Kubernetes' networks often have (a
 * prefix of 32 and 169.254.1.1). Then the subnet is made as wide as it must be.
 */
function prefixWithGateway(
  { address, prefixLength, gateway }: NonNullable<GuestNetwork["ipv4"]>,
): number {
  if (gateway === undefined) return prefixLength;
  const different = (bitsOf(address) ^ bitsOf(gateway)) >>> 0;
  return Math.min(prefixLength, Math.clz32(different));
}

function bitsOf(address: string): number {
  return address.split(".").reduce((bits, byte) => (bits << 8) | Number(byte), 0);
}
