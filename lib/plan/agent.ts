import { capabilityNumber } from "../config/capabilities.ts";
import { InvalidConfigurationError, UnsupportedError } from "../errors.ts";
import type { Guest } from "../guest/families/types.ts";
import { diskName } from "../guest/families/linux_root.ts";
import { type AgentProcess, CAPABILITY_SETS, type GuestDevice } from "../guest/initrd/process.ts";
import { parseNameservers } from "../guest/families/nameservers.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { GuestInput, UnikernelConfig } from "../guest/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { AgentPorts, Monitor } from "../monitor/types.ts";
import { configJson } from "../oci/config_json.ts";
import { diskDevices } from "../oci/disk_devices.ts";
import type { Process, Spec, User } from "../oci/types.ts";
import { profileFilter, type SeccompProfile } from "../seccomp/profile.ts";
import { groupsOf, umaskOf } from "./credentials.ts";
import { guestMounts } from "./guest_mounts.ts";
import type { SharedVolume } from "./shared_files.ts";
import type { ExecPortCounts } from "./types.ts";

/** The ports of a guest's agent in the order of their descriptors: lib/build/guest_init/protocol.h. */
export const AGENT_PORTS = ["stdin", "stdout", "stderr", "control"] as const;

/**
 * How many further processes a guest with an agent can run at a time at most: EXEC_PORTS of exec_protocol.h
 * there.
 */
export const EXEC_PORTS = 16;

/** Those that a guest has from its start, a program's and a probe's: others are added when they are needed. */
const FIRST_EXEC_PORTS = 2;

/**
 * Guest memory that a port takes: the guest's kernel fills its receive queue, which has 1024 places in QEMU
 * 10.0, with buffers of a page (fill_queue(), drivers/char/virtio_console.c). Bytes.
 */
const PORT_BYTES = 4.1 * 1024 * 1024;

/** Guest memory for each port of a further process: all together take a quarter at most. MiB. */
const MEMORY_OF_EXEC_PORT = 16;

/** The device has one besides its ports', which is filled in the same way. */
const CONTROL_QUEUES = 1;

/** The port by which a guest asks the name server of its container's network namespace. */
export const DNS_PORT = "dns";

/** Where docker has that, in networks that users define: on the namespace's loopback. */
const DNS_ADDRESS = "127.0.0.11";

/** Whether a container's name server is where only its network namespace reaches it. */
export function hasOwnNameServer(resolvConf: string | undefined): boolean {
  return parseNameservers(resolvConf ?? "").includes(DNS_ADDRESS);
}

/** Size of the file that keeps the last of a guest's console: lib/build/waiter/channel.h. Bytes. */
export const CONSOLE_BYTES = 65536;

/** What the decision depends on. */
export interface AgentInput {
  unikernel: Pick<UnikernelConfig, "agent" | "stop">;
  guest: Pick<Guest, "type" | "agent">;
  monitor: Pick<Monitor, "name" | "agentChannel">;
  spec: Spec;
  /** Of config.json: the monitor's may be another. */
  guestUser: User;
  /** The container as the guest's family sees it, without an agent. */
  guestInput: GuestInput;
  /** Files of the host that the guest sees, or has copies of. */
  volumes?: readonly SharedVolume[];
  /** How many its file server may have open, where it sees them. */
  openFiles?: number;
  /** Settings of the kernel that the pod asks for. */
  podSysctls?: Record<string, string>;
}

/** Whether a guest has an agent. */
export interface AgentChoice {
  /** As whom it runs the program; undefined: the guest has none. */
  agent?: AgentProcess;
  /** Why there is one, or none. */
  why: string;
  /** What the caller should know of that. */
  warning?: string;
}

/** Whether a guest may have an agent, before its boot files are known. */
export function mayHaveAgent(
  { unikernel, guest, monitor }: Pick<AgentInput, "unikernel" | "guest" | "monitor">,
): boolean {
  return unikernel.agent !== "none" && guest.agent !== undefined &&
    monitor.agentChannel !== undefined;
}

/**
 * Whether the guest has an agent, and as whom that runs the program. The guest is the boundary, so the
 * program has inside of it what config.json says, and is root there when that says so.
 *
 * @throws UnsupportedError, or InvalidConfigurationError, when one is asked for and cannot be
 */
export function planAgent(input: AgentInput): AgentChoice {
  const { unikernel, guest, monitor, guestInput } = input;
  if (unikernel.agent === "none") return { why: "the image wants none" };
  const isAsked = unikernel.agent === "on";
  if (guest.agent === undefined || !mayHaveAgent(input)) {
    if (isAsked) throw noAgent(input);
    return { why: `there is none for ${guest.type} guests on ${monitor.name}` };
  }
  const reason = guest.agent.refuse(guestInput);
  if (isAsked && reason !== undefined) throw impossible(reason);
  if (isAsked) return { agent: processOf(input), why: "the image asks for it" };
  if (reason !== undefined) return { why: reason };
  if (unikernel.stop === "button") return { why: "the power button is to stop the guest" };
  const init = guest.agent.ownInit(guestInput);
  if (init === undefined) return { agent: processOf(input), why: "as for every such guest" };
  return { why: `${init} is an init of its own`, warning: ownInit(init) };
}

function ownInit(program: string): string {
  return `the guest has no agent, because its program, ${program}, is an init of its own: its exit code is ` +
    `the monitor's, and signals press the power button; ${keyPrefix}agent says what is meant, none or on`;
}

function processOf(
  { spec, guestUser, volumes, openFiles, monitor, guestInput, podSysctls }: AgentInput,
): AgentProcess {
  const { process, hostname, domainname } = spec;
  return {
    ...furtherProcess({ ...process, user: guestUser }),
    ...(monitor.agentChannel === "vsock" ? { vsock: true as const } : {}),
    ...(hostname ? { hostname } : {}),
    ...(domainname ? { domainname } : {}),
    // The guest has a kernel for itself: the pod's namespaces, which have them already, are not its own.
    sysctls: { ...podSysctls, ...spec.linux.sysctl },
    mounts: guestMounts(spec, volumes),
    ...(openFiles === undefined ? {} : { openFiles }),
    devices: guestDevices(spec, guestInput),
    maskedPaths: spec.linux.maskedPaths,
    readonlyPaths: spec.linux.readonlyPaths,
    readOnlyRoot: spec.root.readonly,
    ...(spec.linux.seccomp === undefined ? {} : { seccomp: filterOf(spec.linux.seccomp) }),
  };
}

/** For the program and its guest's further processes. */
function filterOf(profile: SeccompProfile): NonNullable<AgentProcess["seccomp"]> {
  const { listenerPath, defaultAction, syscalls } = profile;
  const actions = [defaultAction, ...syscalls.map(({ action }) => action)];
  if (listenerPath !== undefined || actions.includes("SCMP_ACT_NOTIFY")) {
    throw new UnsupportedError({
      operation: "plan the guest's agent",
      subject: "linux.seccomp",
      reason:
        "SCMP_ACT_NOTIFY has a process of the host's answer, which the guest's kernel does not know",
      remedy: "use a profile without it",
    });
  }
  try {
    const { flags, program } = profileFilter(profile);
    return { flags, program: program.toBase64() };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw configJson("linux.seccomp").error(error.message);
  }
}

/** What the specification leaves to the runtime (config-linux.md, "Devices"): runc's, libcontainer/specconv. */
const DEVICE_MODE = 0o666;

/**
 * Nodes that the container's block devices have where config.json names them: the last disks of the guest
 * (`deviceDisks`). An image with a kernel of its own may load the driver later, and names its disks itself.
 */
function guestDevices(
  spec: Pick<Spec, "linux">,
  { disks = [], loadsDrivers }: Pick<GuestInput, "disks" | "loadsDrivers">,
): GuestDevice[] {
  const devices = diskDevices(spec);
  const first = disks.length - devices.length;
  return devices.flatMap(({ device: { path, fileMode = DEVICE_MODE, uid = 0, gid = 0 } }, index) =>
    loadsDrivers && path.startsWith("/dev/")
      ? [{ disk: diskName(first + index), path, mode: fileMode & 0o777, uid, gid }]
      : []
  );
}

/** As whom an agent runs a further process. */
export function furtherProcess(process: Process): AgentProcess {
  const { user } = process;
  return {
    uid: user.uid,
    gid: user.gid,
    groups: groupsOf(user),
    umask: umaskOf(user),
    cwd: process.cwd,
    rlimits: process.rlimits.map(({ type, soft, hard }) => ({
      type,
      soft: `${soft}`,
      hard: `${hard}`,
    })),
    capabilities: capabilitiesOf(process),
    noNewPrivileges: process.noNewPrivileges,
    sysctls: {},
    mounts: [],
    devices: [],
    maskedPaths: [],
    readonlyPaths: [],
    readOnlyRoot: false,
  };
}

/**
 * As masks. Ambient can only be what is permitted and inheritable, too (capabilities(7)): `runc spec` writes
 * others, which runc runs without.
 */
function capabilitiesOf({ capabilities }: Process): AgentProcess["capabilities"] {
  const sets = Object.fromEntries(
    CAPABILITY_SETS.map((set) => [set, maskOf(capabilities?.[set] ?? [])]),
  ) as Record<typeof CAPABILITY_SETS[number], bigint>;
  sets.ambient &= sets.permitted & sets.inheritable;
  return Object.fromEntries(
    CAPABILITY_SETS.map((set) => [set, sets[set].toString(16)]),
  ) as AgentProcess["capabilities"];
}

/** Names that this kernel does not know are not capabilities of the guest's either. */
function maskOf(names: string[]): bigint {
  const bits = names.map((name) => 1n << BigInt(capabilityNumber(name) ?? 0));
  return bits.reduce((mask, bit) => mask | bit, 0n);
}

function impossible(reason: string): InvalidConfigurationError {
  return new InvalidConfigurationError({
    operation: "add the agent to the guest",
    subject: `${keyPrefix}agent`,
    reason: `it is "on", but ${reason}`,
    remedy: "leave the key out",
  });
}

function noAgent({ guest, monitor }: AgentInput): UnsupportedError {
  return new UnsupportedError({
    operation: "plan the guest's agent",
    subject: `${keyPrefix}agent`,
    reason: `there is none for ${guest.type} guests on ${monitor.name}`,
    remedy: `leave the key out; there is one for linux on ${
      monitorsThat(({ agentChannel }) => agentChannel !== undefined)
    }`,
  });
}

/** A port of the agent's. */
export type AgentPort = typeof AGENT_PORTS[number] | typeof DNS_PORT;

/** Those of a guest. */
export function agentPorts(dns: boolean): AgentPort[] {
  return dns ? [...AGENT_PORTS, DNS_PORT] : [...AGENT_PORTS];
}

/** Names of the sockets of a port: the monitor's end, and the container's process's. */
export function portEnds(port: AgentPort): { theirs: string; ours: string } {
  return { theirs: `guest ${port}`, ours: `port ${port}` };
}

/** The name of the socket of a port for a further process, and of its descriptor. */
export function execPort(index: number): string {
  return `exec ${index}`;
}

/**
 * Names of the two sockets by which such a process gets a connection that the guest has made, where it makes
 * them (vsock): one listens for the guest, one for who wants to have it. In the order of their descriptors.
 */
export const HANDING = ["exec guests", "exec callers"] as const;

/** Where the second of them is, in the directory for all of such processes. */
export function handingSocket(directory: string): string {
  return `${directory}/connections.sock`;
}

/** Where that socket is, in the directory for all of them. */
export function execSocket(directory: string, index: number): string {
  return `${directory}/${index}.sock`;
}

/**
 * A file beside the socket of a port that the guest has not got yet. What takes the port has it added, and
 * removes the file.
 */
export function execPortToAdd(directory: string, index: number): string {
  return `${directory}/${index}.add`;
}

/** @param memoryMiB the guest's memory */
export function execPortCounts(memoryMiB: number): ExecPortCounts {
  const most = Math.floor(memoryMiB / MEMORY_OF_EXEC_PORT);
  return {
    first: FIRST_EXEC_PORTS,
    most: Math.min(EXEC_PORTS, Math.max(FIRST_EXEC_PORTS, most)),
  };
}

/**
 * Guest memory that an agent's ports take when it starts, in bytes.
 *
 * @param dns whether there is a port for the name server
 */
export function agentBytes(dns: boolean): number {
  return (CONTROL_QUEUES + agentPorts(dns).length + FIRST_EXEC_PORTS) * PORT_BYTES;
}

/**
 * Gives the monitor's ends their descriptors.
 *
 * @param dns whether there is a port for the name server
 * @param counts of {@linkcode execPortCounts}
 * @param inherit returns the number that a descriptor of a name gets
 */
export function monitorPorts(
  dns: boolean,
  { first, most }: ExecPortCounts,
  inherit: (name: string) => number,
): AgentPorts {
  const numbers = agentPorts(dns).map((port) => [port, inherit(portEnds(port).theirs)]);
  const exec = Array.from({ length: most }, (_, index) => inherit(execPort(index)));
  return {
    ...Object.fromEntries(numbers),
    exec: exec.slice(0, first),
    execLater: exec.slice(first),
  } as unknown as AgentPorts;
}
