import type { LogFields } from "../log.ts";
import { lowestMemoryLimit } from "../oci/memory_limits.ts";
import type { InterfaceAddress } from "../protocol/netlink/address.ts";
import { guestMemoryOf } from "./guest_size.ts";
import { type Launch, planLaunch } from "./launch.ts";
import { acceleratorOf, agentOf, connected, type LaunchInput } from "./launch_input.ts";
import { hasOwnNetwork } from "./namespaces.ts";
import { networkMode, takenInterfaces } from "./network.ts";

/** A line of a log. */
export type Line = [message: string, fields?: LogFields];

/** Stands for the value of an environment variable; never longer than one that is not empty. */
const MASK = "*";

/**
 * What was decided for a container, and why, for a log: nothing of it is secret. Names of environment
 * variables may be, where the guest's family has them in its command line, but no value.
 *
 * @param launch what planning made of the input
 */
export function decisions(input: LaunchInput, launch: Launch): Line[] {
  return [
    guest(input),
    ["monitor " + input.monitor.name, { path: input.facts.monitor.binary }],
    accelerator(input),
    ["firmware " + (input.facts.monitor.firmware ?? "none: the monitor starts kernels itself")],
    memory(input, launch),
    ...network(connected(input)),
    ...(input.facts.disks ?? []).map(disk),
    ["device access " + input.configuration.device_access],
    identity(launch),
    ["namespaces of the monitor alone: " + launch.monitorNamespaces.join(", ")],
    agent(input),
    stop(launch, input),
    ["exec " + maskedArgv(input).map(quote).join(" ")],
  ];
}

function guest({ unikernel, facts }: LaunchInput): Line {
  const { unikernelType, unikernelVersion } = unikernel;
  return [`guest ${unikernelType}`, {
    version: unikernelVersion,
    kernel: facts.kernel.path,
    sha256: facts.nodeKernel?.sha256,
    bytes: facts.kernel.size,
    initrd: unikernel.initrd,
  }];
}

function accelerator(input: LaunchInput): Line {
  const { unikernel, configuration, monitor } = input;
  if (monitor.accelerators.length === 0) return ["accelerator none: the monitor needs no KVM"];
  const why = unikernel.accelerator === "tcg"
    ? "the image asks for emulation"
    : configuration.accelerator === "tcg"
    ? "the configuration asks for emulation"
    : "neither the image nor the configuration asks for emulation";
  return [`accelerator ${acceleratorOf(input)}: ${why}`];
}

function memory(input: LaunchInput, { memoryBytes }: Launch): Line {
  const { spec } = input;
  const limit = lowestMemoryLimit(spec.linux.resources);
  const why = limit === undefined
    ? "default_memory_mib, there is no limit"
    : `what linux.resources.${limit.property} leaves`;
  return [`memory ${guestMemoryOf(input)} MiB: ${why}`, {
    limit: limit?.bytes,
    needed: memoryBytes,
  }];
}

function network({ spec, network }: LaunchInput): Line[] {
  if (!hasOwnNetwork(spec)) return [["network none: the container has no network namespace"]];
  if (network === undefined) {
    return [["network none: its namespace has no interface for the guest"]];
  }
  return takenInterfaces(network).map(({ facts: { name, mac, mtu, addresses } }) => [
    `network ${networkMode(spec)}: interface ${name}`,
    { mac, mtu, addresses: addresses.map(formatAddress).join(",") },
  ]);
}

function formatAddress({ address, prefixLength }: InterfaceAddress): string {
  return `${address}/${prefixLength}`;
}

function disk({ name, source, readOnly, fileSystem, mountPoint }: NonNullable<
  LaunchInput["facts"]["disks"]
>[number]): Line {
  return [`disk ${name}`, {
    from: source.kind,
    path: source.kind === "device" ? source.device.path : source.file.path,
    readOnly,
    fileSystem,
    mountPoint,
  }];
}

function identity({ identity }: Launch): Line {
  const { uid, gid, groups, capabilities, apparmorProfile, seccompFilters } = identity;
  return ["identity of the monitor", {
    uid,
    gid,
    groups: groups.join(","),
    capabilities: capabilities.join(",") || "none",
    apparmorProfile,
    seccompFilters,
  }];
}

function agent(input: LaunchInput): Line {
  const { agent, why } = agentOf(input);
  return [`agent ${agent === undefined ? "none" : "on"}: ${why}`];
}

function stop({ stop }: Launch, { monitor }: LaunchInput): Line {
  const { asking, agent } = stop;
  if (agent) return ["stop by the caller's signals, which the agent delivers to the program"];
  const signal = monitor.endSignal;
  return asking === undefined
    ? [`stop by signal ${signal}`]
    : [`stop by the guest's power ${asking}, else by signal ${signal}`];
}

/**
 * The monitor's arguments as they would be with other values in the guest's environment: so nothing
 * depends on how a family quotes them.
 */
export function maskedArgv(input: LaunchInput): string[] {
  const { spec } = input;
  const env = spec.process.env.map((entry) => entry.replace(/=.+$/s, `=${MASK}`));
  const masked = { ...spec, process: { ...spec.process, env } };
  const { steps } = planLaunch({ ...input, spec: masked }).plan;
  return steps.flatMap((it) => it.step === "startMonitor" ? it.argv : []);
}

/** As a shell would need it. */
function quote(word: string): string {
  return /^[\w.,:=+/@%^-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
