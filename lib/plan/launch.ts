import type { DeviceCgroup } from "../cgroups/plan.ts";
import type { Configuration } from "../config/types.ts";
import { UnsupportedError } from "../errors.ts";
import type { HostFacts } from "../inspect/types.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { Monitor, MonitorInput } from "../monitor/types.ts";
import { TAP_NAME } from "../network/names.ts";
import type { NetworkFacts } from "../network/types.ts";
import { guestArguments } from "../oci/init_program.ts";
import { lowestMemoryLimit } from "../oci/memory_limits.ts";
import type { Spec } from "../oci/types.ts";
import { parseNameservers } from "../guest/families/nameservers.ts";
import type { Guest } from "../guest/families/types.ts";
import type { GuestProcess } from "../guest/initrd/segment.ts";
import { keyPrefix } from "../guest/keys.ts";
import type { Asking, GuestInput, UnikernelConfig } from "../guest/types.ts";
import { planAppArmor } from "./apparmor.ts";
import { type CredentialsInput, expectedIdentity, planCredentials } from "./credentials.ts";
import { planDevices, type PlannedDevices } from "./devices.ts";
import { planDisks, type PlannedDisks } from "./disks.ts";
import { bootMemoryBytes, requireKernel } from "./kernel.ts";
import { manifestDevices, type ManifestInput } from "./solo5.ts";
import { kernelParameters } from "./kernel_parameters.ts";
import { guestMemoryMiB, type MemoryInput, neededMemoryBytes } from "./memory.ts";
import { guestNetwork, networkMode, planNetwork } from "./network.ts";
import { copiedBytes, GUEST_INITRD, GUEST_KERNEL, planRoot } from "./root.ts";
import { planRootDisk, ROOT_DISK_CLAIM } from "./root_disk.ts";
import { planTerminal } from "./terminal.ts";
import type { InheritedFd, LaunchPlan, Step, TerminalReceiver } from "./types.ts";
import type { ExpectedIdentity } from "../host/identity.ts";
import type { AllowedDevice } from "../cgroups/device_program.ts";
import { PLAN_VERSION } from "./types.ts";

/** Everything that the second plan is decided from. */
export interface LaunchInput {
  spec: Spec;
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
  /** Where device rules go; undefined when no hierarchy of this host takes any. */
  deviceCgroup?: DeviceCgroup;
  newKeyring: boolean;
  /** Undefined: the monitor's standard files are the caller's. */
  terminal?: TerminalReceiver;
}

/** Host paths that the plan refers to. */
export interface LaunchPaths {
  /** The image's root, absolute. */
  rootfs: string;
  /** On which the monitor's root is mounted, in the container's mount namespace only. */
  mountPoint: string;
  /** Socket on which init waits for `start`. */
  startSocket: string;
  /** Socket on which the monitor takes commands, where it takes any. */
  controlSocket: string;
}

/** The second plan, and what it must lead to. */
export interface Launch {
  plan: LaunchPlan;
  identity: ExpectedIdentity;
  /** What guest and monitor take up at most. */
  memoryBytes: number;
  /** How the container will be stopped. */
  stop: { signal: number; asking?: Asking };
  /** What the guest may not get, a sentence each. */
  warnings: string[];
  /** Whether the guest takes part in the container's network. */
  usesNetwork: boolean;
}

/** Number of the first descriptor that a monitor has besides its standard files. */
const FIRST_INHERITED_FD = 3;

const VCPUS = 1;

/**
 * The second plan: network, root and devices, device rules, pivot, credentials, barrier, exec.
 * Pure: the same input gives the same plan. Throws HostError or InvalidConfigurationError when the
 * container cannot be run as asked; nothing has been made by then.
 */
export function planLaunch(asked: LaunchInput): Launch {
  requireKernel(asked);
  const manifest = manifestDevices({ ...asked, network: networkOf(asked) });
  // A guest that declares no network device does without the container's network.
  const leavesNetwork = manifest !== undefined && manifest.network === undefined;
  const input = leavesNetwork ? { ...asked, network: undefined } : asked;
  const { spec, configuration, facts, network, paths } = input;
  const { user } = spec.process;
  const accelerator = acceleratorOf(input);
  requireAbilities(input, accelerator);
  const monitorConfiguration = configuration.monitors[input.monitor.name];
  const credentials: CredentialsInput = {
    process: spec.process,
    capabilities: monitorConfiguration?.capabilities ?? [],
    newKeyring: input.newKeyring,
  };

  const stop = planStop(input);
  const handed = input.guest.handedProcess?.(guestInput(input));
  const fds: InheritedFd[] = [];
  const inherit = (name: string) => {
    const fd = FIRST_INHERITED_FD + fds.length;
    fds.push({ name, fd });
    return fd;
  };
  const controlFd = stop.asking === undefined ? undefined : inherit("control");
  const devices = planDevices({
    monitor: input.monitor,
    accelerator,
    network: network !== undefined,
    facts,
    user,
    access: configuration.device_access,
    inherit,
  });
  const disks = planDisks({
    ...input,
    names: manifest?.disks,
    user,
    access: configuration.device_access,
    inherit,
  });
  const networkDevice = manifest?.network;
  const monitorInput = monitorInputOf(input, {
    accelerator,
    handed,
    controlFd,
    devices,
    disks,
    networkDevice,
  });
  // Not for the monitor to use: as long as it lives, nobody can mount what the guest writes to.
  if (facts.rootDisk !== undefined) inherit(ROOT_DISK_CLAIM);

  const steps: Step[] = [
    ...hookSteps(spec),
    // Their paths are on the host, so they must be made before the pivot.
    { step: "listenForStart", path: paths.startSocket },
    ...(stop.asking === undefined
      ? []
      : [{ step: "listenForControl", path: paths.controlSocket } as const]),
    ...(network === undefined ? [] : planNetwork(network, {
      user,
      mode: networkMode(spec),
      filter: configuration.network_filter === "addresses",
    })),
    ...planRoot({
      facts,
      user,
      rootfs: paths.rootfs,
      mountPoint: paths.mountPoint,
      devices: [...devices.nodes, ...disks.nodes],
      disks: disks.files,
      needsTunDirectory: network !== undefined && devices.tapFd === undefined,
      handed,
      files: input.monitor.files?.(monitorInput),
    }),
    // The last that is taken out of the image is in the root by now.
    ...planRootDisk(facts.rootDisk),
    // Only now: a kernel may refuse to have a device that is mounted opened for writing.
    ...devices.opened,
    ...disks.opened,
    ...planTerminal(spec.process, input.terminal),
    // After our own mknod, which these rules would refuse; before the pivot, which hides cgroupfs.
    ...deviceRuleSteps(input.deviceCgroup, [...devices.allowed, ...disks.allowed]),
    ...planAppArmor(spec.process.apparmorProfile, facts),
    { step: "pivotRoot" },
    { step: "remountReadOnly", path: "/dev", ...withoutDevices(configuration) },
    { step: "remountReadOnly", path: "/" },
    ...planCredentials(credentials),
    { step: "barrier" },
    execStep(input.monitor.argv(monitorInput), monitorInput, fds),
  ];
  return {
    plan: { version: PLAN_VERSION, phase: "launch", steps },
    identity: expectedIdentity(credentials),
    memoryBytes: neededMemoryBytes(memoryInput(input, { accelerator, handed })),
    stop,
    warnings: [
      ...input.guest.warnings?.(guestInput(input)) ?? [],
      ...leavesNetwork && asked.network !== undefined ? [UNUSED_NETWORK] : [],
    ],
    usesNetwork: input.network !== undefined,
  };
}

const UNUSED_NETWORK = "the guest's manifest declares no network device: it does without the " +
  "container's network";

function networkOf({ network, networkComesLater }: LaunchInput): ManifestInput["network"] {
  if (network !== undefined) return "yes";
  return networkComesLater ? "later" : "no";
}

/** Nodes were needed for no longer than it took init to open them. */
function withoutDevices({ device_access }: Configuration): { noDevices?: true } {
  return device_access === "fd" ? { noDevices: true } : {};
}

/** @throws UnsupportedError naming what is asked for and this monitor cannot do */
function requireAbilities({ monitor, facts, unikernel }: LaunchInput, accelerator: "kvm" | "tcg") {
  const unsupported = (subject: string, reason: string, remedy: string) =>
    new UnsupportedError({ operation: "plan monitor", subject, reason, remedy });
  if (facts.initrd !== undefined && !monitor.takesInitrd) {
    const reason = `${monitor.name} gives guests no initial RAM disk`;
    throw unsupported(`${keyPrefix}initrd`, reason, "leave the key out");
  }
  // Of a monitor that needs no accelerator, an operator who allows emulation asks nothing.
  const askedByImage = unikernel.accelerator === "tcg";
  if (accelerator === "kvm" || monitor.accelerators.includes("tcg")) return;
  if (!askedByImage && monitor.accelerators.length === 0) return;
  throw unsupported(
    askedByImage ? `${keyPrefix}accelerator` : 'accelerator = "tcg" in the configuration',
    `${monitor.name} cannot emulate a processor`,
    `${
      monitorsThat(({ accelerators }) => accelerators.includes("tcg"))
    } can; or run it where KVM works`,
  );
}

/** A guest is asked first if it may listen and its monitor can tell it. */
function planStop({ guest, monitor, unikernel }: LaunchInput): Launch["stop"] {
  const signal = monitor.endSignal;
  if (!guest.shutsDown || monitor.stop === undefined) return { signal };
  return { signal, asking: unikernel.stop ?? "auto" };
}

/** KVM, unless the image or the operator asked for emulation by name: never as a silent fallback. */
export function acceleratorOf(
  input: Pick<LaunchInput, "unikernel" | "configuration">,
): "kvm" | "tcg" {
  const tcg = input.unikernel.accelerator === "tcg" || input.configuration.accelerator === "tcg";
  return tcg ? "tcg" : "kvm";
}

/**
 * startContainer hooks are called by `start` in the specification, in the container's namespaces.
 * At that time this container has neither a file system to find them in nor the privileges to run
 * them, so they run here: in the same namespaces, before the pivot, with paths of the host.
 */
function hookSteps(spec: Spec): Step[] {
  const names = ["createContainer", "startContainer"] as const;
  return names
    .filter((name) => spec.hooks[name].length > 0)
    .map((name) => ({ step: "runHooks", name, hooks: spec.hooks[name] }));
}

/** Deny everything, then allow exactly this container's nodes. */
function deviceRuleSteps(cgroup: DeviceCgroup | undefined, allowed: AllowedDevice[]): Step[] {
  if (cgroup === undefined) return [];
  const { version, directory } = cgroup;
  if (version === 2) return [{ step: "deviceProgram", cgroup: directory, allowed }];
  const allow = allowed.map(({ type, major, minor, access }): Step => ({
    step: "deviceRule",
    file: `${directory}/devices.allow`,
    rule: `${type === "char" ? "c" : "b"} ${major}:${minor} ${access}`,
  }));
  return [{ step: "deviceRule", file: `${directory}/devices.deny`, rule: "a" }, ...allow];
}

function memoryInput(
  input: LaunchInput,
  { accelerator, handed }: Pick<Decided, "accelerator" | "handed">,
): MemoryInput {
  const { spec, facts, network, configuration, monitor } = input;
  return {
    monitor,
    limit: lowestMemoryLimit(spec.linux.resources),
    defaultMemoryMiB: configuration.default_memory_mib,
    vcpus: VCPUS,
    network: network !== undefined,
    disks: facts.disks?.length ?? 0,
    accelerator,
    kernelBytes: facts.kernel.size,
    bootBytes: bootMemoryBytes(facts.kernelFormat, facts.initrd?.size ?? 0),
    copiedBytes: copiedBytes(facts, spec.process.user, handed),
  };
}

/** The guest's memory, MiB. */
export function guestMemoryOf(input: LaunchInput): number {
  const handed = input.guest.handedProcess?.(guestInput(input));
  return guestMemoryMiB(memoryInput(input, { accelerator: acceleratorOf(input), handed }));
}

/** What the guest's family is told of the container. */
function guestInput(input: LaunchInput): GuestInput {
  const { spec, unikernel, guest, configuration, facts, network, monitor } = input;
  return {
    args: guestArguments(spec),
    env: spec.process.env,
    hostname: spec.hostname,
    domainname: spec.domainname,
    cmdline: unikernel.cmdline,
    hasInitrd: facts.initrd !== undefined,
    isInitramfs: facts.initrd?.isInitramfs,
    environment: unikernel.environment,
    kernelParameters: kernelParameters(unikernel, guest, configuration),
    monitor,
    version: unikernel.unikernelVersion,
    nameservers: parseNameservers(facts.resolvConf ?? ""),
    resolvConf: facts.resolvConf,
    network: network === undefined ? undefined : guestNetwork(network, networkMode(spec)),
    disks: facts.disks?.map(({ readOnly, mountPoint, fileSystem }) => ({
      readOnly,
      mountPoint,
      fileSystem,
    })),
  };
}

/** What was decided before the monitor's arguments are. */
interface Decided {
  accelerator: "kvm" | "tcg";
  handed: GuestProcess | undefined;
  controlFd: number | undefined;
  devices: PlannedDevices;
  disks: PlannedDisks;
  /** What the guest's manifest calls its network device. */
  networkDevice: string | undefined;
}

function monitorInputOf(input: LaunchInput, decided: Decided): MonitorInput {
  const { facts, network, monitor, guest } = input;
  const { accelerator, controlFd, devices, disks, networkDevice } = decided;
  return {
    binary: facts.monitor.binary,
    kernel: GUEST_KERNEL,
    initrd: facts.initrd === undefined ? undefined : GUEST_INITRD,
    commandLine: guest.commandLine(guestInput(input)),
    memoryMiB: guestMemoryMiB(memoryInput(input, decided)),
    vcpus: VCPUS,
    accelerator,
    kvmFd: devices.kvmFd,
    processorVendor: facts.kvm.processorVendor,
    firmwareDirectories: monitor.firmwareDirectories.filter((directory) =>
      facts.monitor.dataPaths.some(({ path }) => path === directory)
    ),
    firmware: facts.monitor.firmware,
    network: network === undefined ? undefined : {
      tap: TAP_NAME,
      tapFd: devices.tapFd,
      mac: network.mac,
      mtu: network.mtu,
      hideMtu: guest.misreadsMtu,
      device: networkDevice,
      modern: guest.modernVirtio,
    },
    disks: disks.disks,
    controlFd,
  };
}

function execStep(argv: string[], { binary }: MonitorInput, fds: InheritedFd[]): Step {
  return {
    step: "exec",
    path: binary,
    argv,
    // The monitor's environment is empty: process.env belongs to the guest.
    env: [],
    ...(fds.length === 0 ? {} : { fds }),
  };
}
