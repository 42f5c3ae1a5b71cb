import type { GuestNetwork } from "../types.ts";
import { archive, type ArchiveEntry } from "./cpio.ts";
import { GUEST_INIT } from "./init_bytes.ts";
import { networkFile } from "./network.ts";
import { type AgentProcess, type AgentRoot, type CopiedTree, processFile } from "./process.ts";

/** What a guest runs, and its surroundings. */
export interface GuestProcess {
  /** The program and its arguments. */
  args: string[];
  /** `NAME=VALUE`. */
  env: string[];
  /** The addresses of its interface. */
  network?: GuestNetwork;
  /** Those of further interfaces; none when undefined. */
  furtherNetworks?: GuestNetwork[];
  /** Its `/etc/resolv.conf`; without an agent, unless the image's RAM disk has one. */
  resolvConf?: string;
  /** Its `/etc/hosts`, where it has an agent. */
  hosts?: string;
  /** As whom an agent runs it; undefined: it becomes the guest's process 1. */
  agent?: AgentProcess;
  /** What the agent makes the root; undefined: that is the RAM disk. */
  root?: AgentRoot;
  /** Volumes that it gets copies of, in archives of their own (lib/inspect/copied.ts). */
  copies?: CopiedTree[];
}

/** The guest's first program, which becomes the container's own, or runs it (lib/build/guest_init). */
export const GUEST_INIT_PATH = "/urunc/init";

/** In an initial RAM disk: modules of a kernel that the operator has stored (lib/kernels). */
export const GUEST_MODULES = "urunc/modules";

/** Size of all archives that a guest's process takes. */
export function segmentBytes(process: GuestProcess): number {
  const { copies = [] } = process;
  return copies.reduce((sum, { bytes }) => sum + bytes, initrdSegment(process).length);
}

/**
 * The archive that is prepended to an image's initial RAM disk; the kernel unpacks one after the other
 * (Documentation/driver-api/early-userspace/buffer-format.rst). Prepended, because other data after an
 * image's last archive would keep the kernel from finding ours. It contains
 *
 * - `/urunc/args`: the program and its arguments, each followed by a NUL, as in /proc/PID/cmdline;
 * - `/urunc/env`: `NAME=VALUE`, each followed by a NUL, as in /proc/PID/environ;
 * - `/urunc/network`: how to set up the interfaces (`network.ts`), when there is one;
 * - `/urunc/seccomp`: a filter for that program and further ones: flags of seccomp(2), 4 bytes, and the program;
 * - `/urunc/process`: as whom an agent runs the program (`process.ts`), when the guest has one;
 * - `/urunc/etc/`: files for it to put into `/etc`;
 * - `/urunc/init`: does that, then executes that program with exactly these, or is its agent.
 *
 * Only the guest's root may read them. Everybody may read `/etc/resolv.conf`; the image's own replaces it.
 */
export function initrdSegment(process: GuestProcess): Uint8Array<ArrayBuffer> {
  const { args, env, network, furtherNetworks = [], resolvConf, hosts, agent, root } = process;
  return archive([
    { name: "urunc", mode: 0o40700 },
    { name: "urunc/args", mode: 0o100400, content: strings(args) },
    { name: "urunc/env", mode: 0o100400, content: strings(env) },
    ...(network === undefined ? [] : [{
      name: "urunc/network",
      mode: 0o100400,
      content: networkFile([network, ...furtherNetworks]),
    }]),
    ...(agent === undefined
      ? []
      : [{ name: "urunc/process", mode: 0o100400, content: processFile(agent, root) }]),
    ...(agent?.seccomp === undefined
      ? []
      : [{ name: "urunc/seccomp", mode: 0o100400, content: filterFile(agent.seccomp) }]),
    { name: "urunc/init", mode: 0o100700, content: GUEST_INIT },
    ...(agent === undefined
      ? resolvConf === undefined ? [] : resolverFiles(resolvConf)
      : agentFiles({ "resolv.conf": resolvConf, hosts, hostname: nameLine(agent) })),
  ]);
}

function filterFile({ flags, program }: NonNullable<AgentProcess["seccomp"]>): Uint8Array {
  const instructions = Uint8Array.fromBase64(program);
  const bytes = new Uint8Array(4 + instructions.length);
  new DataView(bytes.buffer).setUint32(0, flags, true);
  bytes.set(instructions, 4);
  return bytes;
}

function nameLine({ hostname }: AgentProcess): string | undefined {
  return hostname === undefined ? undefined : `${hostname}\n`;
}

/** The agent copies them to `/etc` when the image's RAM disk is unpacked: these are the engine's. */
function agentFiles(files: Record<string, string | undefined>): ArchiveEntry[] {
  return [
    { name: "urunc/etc", mode: 0o40700 },
    ...Object.entries(files).flatMap(([name, text]) =>
      text === undefined
        ? []
        : [{ name: `urunc/etc/${name}`, mode: 0o100400, content: new TextEncoder().encode(text) }]
    ),
  ];
}

function resolverFiles(resolvConf: string): ArchiveEntry[] {
  return [
    { name: "etc", mode: 0o40755 },
    { name: "etc/resolv.conf", mode: 0o100644, content: new TextEncoder().encode(resolvConf) },
  ];
}

function strings(list: string[]): Uint8Array {
  return new TextEncoder().encode(list.map((it) => `${it}\0`).join(""));
}
