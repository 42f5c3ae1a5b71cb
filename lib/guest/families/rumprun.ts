import type { GuestDisk, GuestNetwork } from "../types.ts";
import { argumentsOf, inexpressible } from "./arguments.ts";
import type { Guest } from "./types.ts";

/** Anywhere in the line, it refers to a configuration in the root file system, which replaces the rest. */
const FILE_MARK = "_RUMPRUN_ROOTFSCFG=";

/** The documented mount point of a disk. */
const MOUNT_POINT = "/data";

/**
 * A Rumprun unikernel (NetBSD's drivers and libc) on Solo5's tenders. Its configuration looks like JSON
 * and is read in two steps: jsmn finds the strings and leaves their escapes as they are, then the
 * command line is split by its own rules (lib/librumprun_base/config.c, parseargs.c). Each variable is
 * another `env` key, so the document is written by hand.
 *
 * IPv4 only: it configures one address, of one family.
 */
export const rumprun: Guest = {
  type: "rumprun",
  shutsDown: false,
  singleProcessor: true,
  disks: {
    most: 1,
    mount: "below",
    mountPoint: MOUNT_POINT,
    // The only one that Rumprun for Solo5 is built with and Linux can create.
    fileSystems: ["ext2"],
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
      throw inexpressible("process", FILE_MARK, "Rumprun would look for a configuration file");
    }
    return line;
  },
};

/**
 * Writes one argument so that it survives both steps:
 *
 * - only single quotes can protect white space: a double quote ends a string for jsmn;
 * - within them a double quote would change which quote ends them, unless it is escaped;
 * - a single quote cannot be expressed: jsmn does not accept `\'`;
 * - every other escape that jsmn accepts means the character after the backslash.
 */
function quoted(argument: string, subject: string): string {
  if (argument.includes("'")) {
    throw inexpressible(subject, argument, "Rumprun cannot read a single quote");
  }
  if (argument.includes("\0")) {
    throw inexpressible(subject, argument, "it contains a NUL character");
  }
  const escaped = argument.replaceAll(/["\\]/g, "\\$&");
  return argument === "" || /[ \t\n]/.test(argument) ? `'${escaped}'` : escaped;
}

/** Variables keep their escapes, so they cannot have any. */
function variable(entry: string, subject: string): string {
  if (entry.indexOf("=") <= 0) throw inexpressible(subject, entry, "not NAME=VALUE");
  if (!/["\\\0]/.test(entry)) return entry;
  const name = entry.slice(0, entry.indexOf("="));
  throw inexpressible(subject, name, "Rumprun cannot read a double quote or a backslash in it");
}

/** With the names of Solo5's driver in Rumprun; `cloner` creates the interface. */
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

/** Solo5's block device appears as the host's file `/dev/ld0a`, and `blk` mounts it. */
function block({ mountPoint }: GuestDisk): string {
  return JSON.stringify({
    source: "etfs",
    path: "/dev/ld0a",
    fstype: "blk",
    mountpoint: mountPoint ?? MOUNT_POINT,
  });
}

/**
 * NetBSD refuses a gateway outside the interface's subnet, which Kubernetes' networks often have (a
 * prefix of 32 and 169.254.1.1). Then the subnet is widened as far as necessary.
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
