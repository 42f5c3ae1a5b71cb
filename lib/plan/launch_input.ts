import type { DeviceCgroup } from "../cgroups/plan.ts";
import type { Configuration } from "../config/types.ts";
import type { HostFacts } from "../inspect/types.ts";
import type { Monitor } from "../monitor/types.ts";
import type { NetworkFacts } from "../network/types.ts";
import { guestArguments } from "../oci/init_program.ts";
import { HOSTS, RESOLV_CONF } from "../oci/names.ts";
import type { IdMaps, Spec, User } from "../oci/types.ts";
import { volumeDirectory } from "../guest/initrd/process.ts";
import { parseNameservers } from "../guest/families/nameservers.ts";
import type { Guest } from "../guest/families/types.ts";
import type { GuestInput, UnikernelConfig } from "../guest/types.ts";
import { type AgentChoice, hasOwnNameServer, planAgent } from "./agent.ts";
import { kernelParameters } from "./kernel_parameters.ts";
import { copiedNames } from "./names.ts";
import { agentNetworks, guestNetwork, networkMode, onlyFirst } from "./network.ts";
import { hasInitrd } from "./root.ts";
import { planCopiedVolumes, planSharedFiles } from "./shared_files.ts";
import type { TerminalReceiver } from "./types.ts";

/** Input for the second plan. */
export interface LaunchInput {
  /** Its user is who the monitor is. */
  spec: Spec;
  /** Of config.json: who the program is in a guest with an agent. */
  guestUser: User;
  /** Whose rights decide over the files of the host that config.json names. */
  filesUser: User;
  /** Whom files belong to that are shared with the guest, where these are not that user's. */
  fileMaps?: IdMaps;
  unikernel: UnikernelConfig;
  guest: Guest;
  monitor: Monitor;
  configuration: Configuration;
  facts: HostFacts;
  /** Undefined: the container has no network. */
  network?: NetworkFacts;
  /** Hooks that have not run may attach a network. */
  networkComesLater?: true;
  paths: LaunchPaths;
  /** For device rules; undefined when this host has no hierarchy for them. */
  deviceCgroup?: DeviceCgroup;
  /** The container's cgroup, below each mount point. */
  cgroup?: string;
  newKeyring: boolean;
  /** Undefined: the monitor's standard files are the caller's. */
  terminal?: TerminalReceiver;
}

/** Host paths that the plan refers to. */
export interface LaunchPaths {
  /** The image's root, absolute. */
  rootfs: string;
  /** Where the monitor's root is mounted, in the container's mount namespace only. */
  mountPoint: string;
  /** Socket on which the waiter waits for `start`. */
  startSocket: string;
  /** Socket for commands to the monitor, if it takes any. */
  controlSocket: string;
  /** Directory for the sockets of an agent's ports for further processes. */
  execDirectory: string;
  /** File that keeps the last of the console of a guest with an agent. */
  console: string;
}

/**
 * With the interfaces that the guest takes over: all where an agent sets them up, else the first. In a
 * subnet that it has with its pod there is one.
 */
export function connected(input: LaunchInput): LaunchInput {
  const { network, spec } = input;
  if (network === undefined) return input;
  const takesAll = networkMode(spec) !== "static" && agentOf(input).agent !== undefined;
  return takesAll ? input : { ...input, network: onlyFirst(network) };
}

/** KVM, unless the image or the operator asked for emulation: never as a silent fallback. */
export function acceleratorOf(
  input: Pick<LaunchInput, "unikernel" | "configuration">,
): "kvm" | "tcg" {
  const tcg = input.unikernel.accelerator === "tcg" || input.configuration.accelerator === "tcg";
  return tcg ? "tcg" : "kvm";
}

/** Whether the guest has an agent, and why. */
export function agentOf(input: LaunchInput): AgentChoice {
  const shared = planSharedFiles(input);
  return planAgent({
    ...input,
    guestInput: inputWithoutAgent(input),
    volumes: shared?.volumes ?? planCopiedVolumes(input),
    openFiles: shared && input.facts.fileServer?.openFiles,
    podSysctls: input.facts.podSysctls,
  });
}

/** The container, as the guest's family sees it. */
export function guestInput(input: LaunchInput): GuestInput {
  const { agent } = agentOf(input);
  const { spec, network } = input;
  if (agent === undefined || network === undefined) return { ...inputWithoutAgent(input), agent };
  const [first, ...furtherNetworks] = agentNetworks(network, networkMode(spec));
  return {
    ...inputWithoutAgent(input),
    agent,
    network: first,
    ...(furtherNetworks.length > 0 && { furtherNetworks }),
  };
}

function inputWithoutAgent(input: LaunchInput): GuestInput {
  const { spec, unikernel, guest, configuration, facts, network, monitor } = input;
  const shared = planSharedFiles(input);
  const names = copiedNames({ facts, shared });
  return {
    args: guestArguments(spec),
    env: spec.process.env,
    hostname: spec.hostname,
    domainname: spec.domainname,
    cmdline: unikernel.cmdline,
    hasInitrd: hasInitrd(facts),
    loadsDrivers: facts.nodeKernel !== undefined,
    isInitramfs: facts.initrd === undefined
      ? facts.nodeKernel !== undefined
      : facts.initrd.isInitramfs,
    environment: unikernel.environment,
    kernelParameters: kernelParameters(unikernel, guest, configuration),
    monitor,
    version: unikernel.unikernelVersion,
    nameservers: parseNameservers(facts.resolvConf ?? ""),
    resolvConf: names[RESOLV_CONF],
    hosts: names[HOSTS],
    copies: planCopiedVolumes(input).map((volume, position) => ({
      source: volume.source,
      path: volumeDirectory(position),
      isFile: volume.isFile,
      bytes: volume.bytes,
    })),
    network: network === undefined ? undefined : guestNetwork(network, networkMode(spec)),
    disks: facts.disks?.map(({ readOnly, mountPoint, fileSystem }) => ({
      readOnly,
      mountPoint,
      fileSystem,
    })),
    sharedRoot: shared?.root,
  };
}

/** Whether an agent asks the name server of the container's network namespace, by the container's process. */
export function relaysNames({ spec, network, facts }: LaunchInput): boolean {
  return network !== undefined && networkMode(spec) !== "static" &&
    hasOwnNameServer(facts.resolvConf);
}
