import type { DeviceCgroup } from "../cgroups/plan.ts";
import type { Configuration } from "../config/types.ts";
import { UnsupportedError } from "../errors.ts";
import { monitorsThat } from "../monitor/registry.ts";
import type { NetworkFacts } from "../network/types.ts";
import { requireNoAgent } from "../oci/validate.ts";
import { hasUserNamespace } from "../oci/id_mappings.ts";
import { HOSTS, RESOLV_CONF } from "../oci/names.ts";
import type { IdMaps, Spec } from "../oci/types.ts";
import { keyPrefix } from "../guest/keys.ts";
import {
  AGENT_PORTS,
  CONSOLE_BYTES,
  DNS_PORT,
  execPortCounts,
  HANDING,
  monitorPorts,
  portEnds,
} from "./agent.ts";
import { planAppArmor } from "./apparmor.ts";
import { type CredentialsInput, expectedIdentity, planCredentials } from "./credentials.ts";
import { planDevices } from "./devices.ts";
import { planDisks } from "./disks.ts";
import { requireBootFiles, requireKernel } from "./kernel.ts";
import { manifestDevices, type ManifestInput } from "./solo5.ts";
import { fileSizeLimit } from "./file_size.ts";
import { guestMemoryMiB, neededMemoryBytes } from "./memory.ts";
import { networkMode, planNetwork, takenInterfaces } from "./network.ts";
import { copiedNames, namesWarnings } from "./names.ts";
import { podWarnings } from "./pod.ts";
import { planRoot } from "./root.ts";
import { planProcesses, type ProcessesPlan } from "./processes.ts";
import { planRootDisk, ROOT_DISK_CLAIM } from "./root_disk.ts";
import { FILE_SERVER_FILTER, MONITOR_FILTER, planFilters, WAITER_FILTER } from "./seccomp.ts";
import { fileServerIdentity, planFileServer } from "./file_server.ts";
import {
  copiedVolumesWarnings,
  planCopiedVolumes,
  planMountPoints,
  planSharedFiles,
  sharedFilesWarnings,
} from "./shared_files.ts";
import { planTerminal } from "./terminal.ts";
import { type InheritedFd, type LaunchPlan, PLAN_VERSION, type Step } from "./types.ts";
import { monitorNamespaces, sharesPids } from "./namespaces.ts";
import {
  entering,
  makesPidNamespace,
  openUserNamespace,
  type PlannedUserNamespace,
  planUserNamespace,
  USER_NAMESPACE,
} from "./user_namespace.ts";
import { VSOCK_SOCKET, vsockSockets } from "./vsock.ts";
import { monitorArguments, waiterArguments } from "./waiter.ts";
import type { OwnNamespace } from "../host/namespaces.ts";
import type { ExpectedIdentity } from "../host/identity.ts";
import type { AllowedDevice } from "../cgroups/device_program.ts";
import {
  acceleratorOf,
  agentOf,
  connected,
  guestInput,
  type LaunchInput,
  relaysNames,
} from "./launch_input.ts";
import { memoryFile, monitorInputOf } from "./monitor_input.ts";
import { memoryInput, vcpusOf } from "./guest_size.ts";

/** The second plan, and its expected result. */
export interface Launch {
  plan: LaunchPlan;
  identity: ExpectedIdentity;
  /** Which namespaces the monitor has for itself. */
  monitorNamespaces: OwnNamespace[];
  userNamespace?: PlannedUserNamespace;
  /** Who the file server is, if there is one. */
  fileServer?: ExpectedIdentity;
  /** Of its user namespace, if it is in one of its own. */
  fileMaps?: IdMaps;
  /** What guest and monitor use at most. */
  memoryBytes: number;
  /** The guest's virtual processors. */
  vcpus: number;
  /** How many processes and threads the container may have. */
  processes: ProcessesPlan;
  /** How the guest is asked to stop, before it is ended. */
  stop: { asking?: "button"; agent?: true };
  /** What the guest may lose, one sentence each. */
  warnings: string[];
  /** Whether the guest uses the container's network. */
  usesNetwork: boolean;
}

/** RFC 7766, section 5. */
const DNS_TCP_PORT = 53;

/** Number of the first descriptor besides the standard files. */
const FIRST_INHERITED_FD = 3;

/** Adds a descriptor to what a program gets. Returns its number there. */
function numbered(fds: InheritedFd[], name: string): number {
  const fd = FIRST_INHERITED_FD + fds.length;
  fds.push({ name, fd });
  return fd;
}

/**
 * The second plan: network, root and devices, device rules, pivot, credentials, barrier, exec.
 * Pure: the same input gives the same plan. Throws HostError or InvalidConfigurationError when the
 * container cannot run as configured; nothing has been changed by then.
 */
export function planLaunch(given: LaunchInput): Launch {
  requireKernel(given);
  requireBootFiles(given);
  requireFiles(given);
  const asked = connected(given);
  const manifest = manifestDevices({ ...asked, network: networkOf(asked) });
  // A guest that declares no network device does not use the container's network.
  const leavesNetwork = manifest !== undefined && manifest.network === undefined;
  const input = leavesNetwork ? { ...asked, network: undefined } : asked;
  const { spec, configuration, facts, network, paths } = input;
  const { user } = spec.process;
  const accelerator = acceleratorOf(input);
  requireAbilities(input, accelerator);
  const monitorConfiguration = configuration.monitors[input.monitor.name];
  const capabilities = monitorConfiguration?.capabilities ?? [];
  const userNamespace = planUserNamespace({ ...input, capabilities });
  const credentials: CredentialsInput = {
    process: spec.process,
    capabilities,
    passed: entering(userNamespace),
    newKeyring: input.newKeyring,
    seccompFilters: facts.seccompFilters,
    agent: agentOf(input).agent !== undefined,
  };

  const stop = planStop(input);
  const channel = stop.agent ? input.monitor.agentChannel : undefined;
  if (!stop.agent) requireNoAgent(spec);
  const initrdProcess = input.guest.processInInitrd?.(guestInput(input));
  const fds: InheritedFd[] = [];
  const inherit = (name: string) => numbered(fds, name);
  // An agent's guest is given ports by it.
  const isControlled = stop.asking !== undefined || channel === "ports";
  const controlFd = isControlled ? inherit("control") : undefined;
  const devices = planDevices({
    monitor: input.monitor,
    accelerator,
    taps: takenInterfaces(network).map(({ tap }) => tap),
    facts,
    user,
    access: configuration.device_access,
    vhost: monitorConfiguration?.vhost ?? false,
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
  // The monitor does not use it: it keeps the disk from being mounted while the monitor runs.
  if (facts.rootDisk !== undefined) inherit(ROOT_DISK_CLAIM);
  const { failures } = input.monitor;
  const connects = failures !== undefined && failures.log === undefined;
  const eventsFd = connects ? inherit("events") : undefined;
  const dns = stop.agent === true && relaysNames(input);
  const execPorts = channel === "ports"
    ? execPortCounts(guestMemoryMiB(memoryInput(input, { accelerator, initrdProcess })))
    : undefined;
  const ports = execPorts && monitorPorts(dns, execPorts, inherit);
  const shared = planSharedFiles(input);
  if (shared !== undefined && sharesPids(spec) && hasUserNamespace(spec.linux)) {
    throw sharesNamespaceOfPids();
  }
  const filesFd = shared && inherit("files");
  const waiterFds: InheritedFd[] = [];
  const goFd = numbered(waiterFds, "go");
  const startFd = numbered(waiterFds, "start");
  const createdFd = numbered(waiterFds, "channel");
  const serverGoFd = shared && numbered(waiterFds, "serverGo");
  const watchFd = failures === undefined ? undefined : numbered(waiterFds, "watch");
  const namedTap = network !== undefined && devices.tapFds.length === 0;
  const namespaces = monitorNamespaces(spec, namedTap);
  const filters = planFilters({
    monitor: input.monitor,
    configuration,
    accelerator,
    namedTap,
    agent: channel,
    dns,
    files: shared !== undefined,
    vhost: devices.vhostFds.length > 0,
    mapsOwners: input.fileMaps !== undefined,
  });
  const filterFd = filters === undefined ? undefined : inherit(MONITOR_FILTER);
  const ownPid = makesPidNamespace(spec, userNamespace);
  const userFd = userNamespace === undefined ? undefined : inherit(USER_NAMESPACE);
  const waiterFilterFd = filters === undefined ? undefined : numbered(waiterFds, WAITER_FILTER);
  const [portsFd] = stop.agent
    ? AGENT_PORTS.map((port) => numbered(waiterFds, portEnds(port).ours))
    : [];
  const dnsFd = dns ? numbered(waiterFds, portEnds(DNS_PORT).ours) : undefined;
  const [handingFd] = channel === "vsock" ? HANDING.map((name) => numbered(waiterFds, name)) : [];
  const consoleFd = stop.agent ? numbered(waiterFds, "console") : undefined;
  const monitorInput = monitorInputOf(input, {
    accelerator,
    initrdProcess,
    controlFd,
    eventsFd,
    ports,
    vsock: channel === "vsock" ? VSOCK_SOCKET : undefined,
    filesFd,
    devices,
    disks,
    networkDevice,
  });

  const steps: Step[] = [
    ...hookSteps(spec),
    // Their paths are on the host, so they must be created before the pivot.
    { step: "listenForStart", path: paths.startSocket },
    ...(isControlled ? [{ step: "listenForControl", path: paths.controlSocket } as const] : []),
    // As root: the file is not the monitor's user's to change.
    { step: "openWaiter" },
    ...openUserNamespace(userNamespace),
    ...(filters === undefined ? [] : [
      { step: "openFilter", name: MONITOR_FILTER, filter: filters.monitor } as const,
      { step: "openFilter", name: WAITER_FILTER, filter: filters.waiter } as const,
    ]),
    ...(filters?.fileServer === undefined ? [] : [
      { step: "openFilter", name: FILE_SERVER_FILTER, filter: filters.fileServer } as const,
    ]),
    // First of all that has the container's own privileges: it needs more than any other step, and none of
    // what they make.
    ...(shared === undefined ? [] : planFileServer({
      ...paths,
      shared,
      server: facts.fileServer!,
      user: input.filesUser,
      maps: input.fileMaps,
      newKeyring: input.newKeyring,
      filtered: filters !== undefined,
    })),
    ...(eventsFd === undefined ? [] : [{ step: "connectEvents" } as const]),
    ...(stop.agent
      ? [
        ...(channel === "ports" ? [connectAgent(dns)] : []),
        {
          step: "listenForExec",
          directory: paths.execDirectory,
          ports: execPorts ?? "vsock",
        } as const,
        { step: "openConsole", path: paths.console, size: CONSOLE_BYTES } as const,
      ]
      : []),
    ...(network === undefined ? [] : planNetwork(network, {
      user,
      mode: networkMode(spec),
      filter: configuration.network_filter === "addresses",
      cgroup: input.cgroup,
    })),
    ...planRoot({
      facts,
      user,
      rootfs: paths.rootfs,
      mountPoint: paths.mountPoint,
      devices: [...devices.nodes, ...disks.nodes],
      disks: disks.files,
      needsTunDirectory: namedTap,
      initrdProcess,
      files: input.monitor.files?.(monitorInput),
      memory: monitorInput.files && memoryFile(monitorInput, user),
      log: failures?.log,
      vsock: channel === "vsock" ? vsockSockets(dns) : undefined,
    }),
    ...mountPointSteps(input),
    // Everything that is needed from the image is in the root by now.
    ...planRootDisk(facts.rootDisk),
    // Only now: a kernel may refuse to open a mounted device for writing.
    ...devices.opened,
    ...disks.opened,
    ...planTerminal(spec.process, input.terminal),
    // After our own mknod, which these rules would refuse; before the pivot, which hides cgroupfs.
    ...deviceRuleSteps(input.deviceCgroup, [...devices.allowed, ...disks.allowed]),
    ...planAppArmor(spec.process.apparmorProfile, facts),
    { step: "holdNamespaces", namespaces },
    { step: "pivotRoot" },
    { step: "privateMounts" },
    { step: "remountReadOnly", path: "/dev", ...withoutDevices(configuration) },
    { step: "remountReadOnly", path: "/" },
    ...planCredentials(dns ? { ...credentials, tcpPort: DNS_TCP_PORT } : credentials),
    { step: "enterMonitorNamespaces", namespaces },
    // The environments of waiter and monitor are empty: process.env belongs to the guest.
    {
      step: "startMonitor",
      argv: monitorArguments({
        userFd,
        ownPid,
        fileSize: fileSizeLimit({
          process: spec.process,
          hasMemoryFile: monitorInput.files !== undefined,
          guestMemoryMiB: monitorInput.memoryMiB,
          disks: facts.disks ?? [],
        }),
        filterFd,
        program: input.monitor.argv(monitorInput),
      }),
      fds,
      ...(userNamespace === undefined ? {} : { entersUserNamespace: true }),
    },
    { step: "leaveMonitorNamespaces" },
    { step: "setCapabilities", capabilities: credentials.capabilities },
    // The last: it allows no more than what the steps after it need. The monitor's process installs its own.
    ...(filters === undefined ? [] : [{ step: "filterCalls", filter: filters.init } as const]),
    { step: "barrier" },
    {
      step: "exec",
      argv: waiterArguments({
        ...input,
        goFd,
        createdFd,
        startFd,
        serverGoFd,
        watchFd,
        filterFd: waiterFilterFd,
        portsFd,
        dnsFd,
        vsock: channel === "vsock",
        handingFd,
        consoleFd,
        terminal: input.terminal !== undefined,
      }),
      env: [],
      fds: waiterFds,
    },
  ];
  return {
    plan: { version: PLAN_VERSION, phase: "launch", steps },
    identity: expectedIdentity(credentials, filters !== undefined),
    monitorNamespaces: [
      ...namespaces,
      ...(ownPid ? ["pid"] as const : []),
      ...(userNamespace === undefined ? [] : ["user"] as const),
    ],
    userNamespace,
    vcpus: vcpusOf(input),
    processes: planProcesses({
      ...input,
      vcpus: vcpusOf(input),
      disks: facts.disks?.length ?? 0,
      vhosts: devices.vhostFds.length,
      accelerator,
      sharesFiles: shared !== undefined,
    }),
    ...(shared === undefined ? {} : {
      fileServer: fileServerIdentity({
        user: input.filesUser,
        maps: input.fileMaps,
        filtered: filters !== undefined,
        seccompFilters: facts.seccompFilters,
      }),
      fileMaps: input.fileMaps,
    }),
    memoryBytes: neededMemoryBytes(memoryInput(input, { accelerator, initrdProcess })),
    stop,
    warnings: [
      ...spec.unsupported.warned.filter(({ givenByAgent }) => !(givenByAgent && stop.agent))
        .map(({ property, reason }) => `config.json ${property}: ${reason}`),
      ...agentWarnings(input),
      ...namesWarnings(spec, copiedNames({ facts, shared }), [
        ...(stop.agent ? [HOSTS] : []),
        ...(network === undefined ? [] : [RESOLV_CONF]),
      ]),
      ...sharedFilesWarnings(shared, input.filesUser),
      ...copiedVolumesWarnings(planCopiedVolumes(input)),
      ...podWarnings({
        spec,
        looksForFiles: input.guest.agent !== undefined,
        hasAgent: stop.agent === true,
        sharesRoot: facts.sharedRoot !== undefined,
      }),
      ...input.guest.warnings?.(guestInput(input)) ?? [],
      ...given.network !== undefined && asked.network === undefined ? [NO_INTERFACE] : [],
      ...leavesNetwork && asked.network !== undefined ? [UNUSED_NETWORK] : [],
      ...otherInterfaces(network),
    ],
    usesNetwork: input.network !== undefined,
  };
}

function connectAgent(dns: boolean): Step {
  return { step: "connectAgent", ...(dns && { dns: true as const }) };
}

const UNUSED_NETWORK = "the guest's manifest declares no network device: it does without the " +
  "container's network";

/**
 * The file server has a PID namespace of its own, which cannot be made below one that belongs to another user
 * namespace (create_pid_namespace() in kernel/pid_namespace.c).
 */
function sharesNamespaceOfPids(): UnsupportedError {
  return new UnsupportedError({
    operation: "share files with the guest",
    reason:
      "the container is in the PID namespace and the user namespace of others, where no file server " +
      "can be started",
    remedy:
      "give the container processes of its own (Kubernetes: shareProcessNamespace: false), or the " +
      "host's users (hostUsers: true)",
  });
}

/** A guest has one interface, and nothing says which. */
export const NO_INTERFACE =
  "no interface of the container has the default route, and not exactly one has " +
  "an address in use: the guest does without a network";

function otherInterfaces(network: NetworkFacts | undefined): string[] {
  if (network?.others === undefined) return [];
  const own = takenInterfaces(network).map(({ facts }) => facts.name).join(", ");
  const others = network.others
    .map(({ name, reason }) => reason === undefined ? name : `${name} (${reason})`).join(", ");
  return [`the guest has ${own} and no other interface; not connected: ${others}`];
}

function networkOf({ network, networkComesLater }: LaunchInput): ManifestInput["network"] {
  if (network !== undefined) return "yes";
  return networkComesLater ? "later" : "no";
}

/** Nodes were needed only until init had opened them. */
function withoutDevices({ device_access }: Configuration): { noDevices?: true } {
  return device_access === "fd" ? { noDevices: true } : {};
}

/** @throws UnsupportedError for an image that the guest would see nothing of */
function requireFiles({ facts }: LaunchInput): void {
  const hasRoot = facts.initrd !== undefined || facts.sharedRoot !== undefined ||
    facts.disks?.some((it) => it.mountPoint === "/");
  if (facts.nodeKernel === undefined || hasRoot) return;
  throw new UnsupportedError({
    operation: "give the guest its files",
    reason:
      "the image has neither an initial RAM disk nor a disk for its root, and this version cannot " +
      "share the container's files with a guest",
    remedy: `name an initial RAM disk of the image by ${keyPrefix}initrd`,
  });
}

/** @throws UnsupportedError naming what this monitor does not support */
function requireAbilities({ monitor, facts, unikernel }: LaunchInput, accelerator: "kvm" | "tcg") {
  const unsupported = (subject: string, reason: string, remedy: string) =>
    new UnsupportedError({ operation: "plan monitor", subject, reason, remedy });
  if (facts.initrd !== undefined && !monitor.takesInitrd) {
    const reason = `${monitor.name} does not support an initial RAM disk`;
    throw unsupported(`${keyPrefix}initrd`, reason, "leave the key out");
  }
  // The operator's setting does not concern a monitor that needs no accelerator.
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

/** An agent passes signals on; without one, a guest is asked if it may react and its monitor can ask it. */
function planStop(input: LaunchInput): Launch["stop"] {
  const { guest, monitor } = input;
  if (agentOf(input).agent !== undefined) return { agent: true };
  if (!guest.shutsDown || monitor.stop === undefined) return {};
  return { asking: "button" };
}

/**
 * By the specification `start` calls startContainer hooks, in the container's namespaces. By then this
 * container has neither a file system with them nor the privileges to run them, so they run here: in the
 * same namespaces, before the pivot, with paths of the host.
 */
function hookSteps(spec: Spec): Step[] {
  const names = ["createContainer", "startContainer"] as const;
  return names
    .filter((name) => spec.hooks[name].length > 0)
    .map((name) => ({ step: "runHooks", name, hooks: spec.hooks[name] }));
}

/** Deny everything, then allow only this container's nodes. */
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

/** Where the agent mounts what it mounts, as far as that is in what is shared with the guest. */
function mountPointSteps(input: LaunchInput): Step[] {
  const { facts, spec, paths } = input;
  const { agent } = agentOf(input);
  const shared = planSharedFiles(input);
  if (agent === undefined || shared === undefined) return [];
  const files = [
    ...Object.keys(copiedNames({ facts, shared })),
    ...(spec.hostname ? ["/etc/hostname"] : []),
  ];
  const { mounts, cwd } = agent;
  const maps = input.fileMaps;
  return planMountPoints({ shared, rootfs: paths.rootfs, mounts, files, cwd, maps });
}

function agentWarnings(input: LaunchInput): string[] {
  const { warning } = agentOf(input);
  return warning === undefined ? [] : [warning];
}
