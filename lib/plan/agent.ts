import { capabilityNumber } from "../config/capabilities.ts";
import { UnsupportedError } from "../errors.ts";
import type { Guest } from "../guest/families/types.ts";
import { type AgentProcess, CAPABILITY_SETS } from "../guest/initrd/process.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { UnikernelConfig } from "../guest/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { AgentPorts, Monitor } from "../monitor/types.ts";
import type { Spec, User } from "../oci/types.ts";
import { groupsOf, umaskOf } from "./credentials.ts";

/** The ports of a guest's agent in the order of their descriptors: lib/build/guest_init/protocol.h. */
export const AGENT_PORTS = ["stdin", "stdout", "stderr", "control"] as const;

/** Size of the file that keeps the last of a guest's console: lib/build/waiter/channel.h. Bytes. */
export const CONSOLE_BYTES = 65536;

/** What the decision depends on. */
export interface AgentInput {
  unikernel: Pick<UnikernelConfig, "agent">;
  guest: Pick<Guest, "type" | "takesAgent">;
  monitor: Pick<Monitor, "name" | "takesPorts">;
  spec: Spec;
  /** Of config.json: the monitor's may be another. */
  guestUser: User;
}

/**
 * As whom the guest's agent runs the program. The guest is the boundary, so the program has inside of it
 * what config.json says, and is root there when that says so.
 *
 * @returns undefined when the guest has no agent
 * @throws UnsupportedError when there is none for this guest and monitor
 */
export function planAgent(input: AgentInput): AgentProcess | undefined {
  const { unikernel, guest, monitor, spec, guestUser } = input;
  if (unikernel.agent !== "on") return undefined;
  if (!guest.takesAgent || !monitor.takesPorts) throw noAgent(input);
  const { process, hostname, domainname } = spec;
  return {
    uid: guestUser.uid,
    gid: guestUser.gid,
    groups: groupsOf(guestUser),
    umask: umaskOf(guestUser),
    cwd: process.cwd,
    ...(hostname ? { hostname } : {}),
    ...(domainname ? { domainname } : {}),
    rlimits: process.rlimits.map(({ type, soft, hard }) => ({
      type,
      soft: `${soft}`,
      hard: `${hard}`,
    })),
    capabilities: Object.fromEntries(
      CAPABILITY_SETS.map((set) => [set, maskOf(process.capabilities?.[set] ?? [])]),
    ) as AgentProcess["capabilities"],
    noNewPrivileges: process.noNewPrivileges,
    sysctls: spec.linux.sysctl,
  };
}

/** Names that this kernel does not know are not capabilities of the guest's either. */
function maskOf(names: string[]): string {
  const bits = names.map((name) => 1n << BigInt(capabilityNumber(name) ?? 0));
  return bits.reduce((mask, bit) => mask | bit, 0n).toString(16);
}

function noAgent({ guest, monitor }: AgentInput): UnsupportedError {
  return new UnsupportedError({
    operation: "plan the guest's agent",
    subject: `${keyPrefix}agent`,
    reason: `there is none for ${guest.type} guests on ${monitor.name}`,
    remedy: `leave the key out; there is one for linux on ${
      monitorsThat(({ takesPorts }) => takesPorts === true)
    }`,
  });
}

/** Names of the sockets of a port: the monitor's end, and the container's process's. */
export function portEnds(port: typeof AGENT_PORTS[number]): { theirs: string; ours: string } {
  return { theirs: `guest ${port}`, ours: `port ${port}` };
}

/**
 * Gives the monitor's ends their descriptors.
 *
 * @param inherit returns the number that a descriptor of a name gets
 */
export function monitorPorts(inherit: (name: string) => number): AgentPorts {
  const numbers = AGENT_PORTS.map((port) => [port, inherit(portEnds(port).theirs)]);
  return Object.fromEntries(numbers) as unknown as AgentPorts;
}
