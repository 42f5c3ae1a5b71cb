import { kill, SIGKILL, waitpid } from "../../ffi/linux.ts";
import { parseIdRange } from "../config/id_range.ts";
import type { Configuration } from "../config/types.ts";
import { HostError, NotFoundError } from "../errors.ts";
import { type ExpectedUserNamespace, NAMESPACE_OWNER } from "../host/id_maps.ts";
import { readNamespaces } from "../host/namespaces.ts";
import { readProcessStat } from "../os/process.ts";
import type { DiskFacts, HostFacts } from "../inspect/types.ts";
import type { Observer } from "../launch/observer.ts";
import { type SpawnedInit, startInit } from "../launch/spawn.ts";
import { sendStdio, type Stdio } from "../launch/stdio.ts";
import { hasAddress } from "../network/arrival.ts";
import type { NetworkFacts } from "../network/types.ts";
import type { IdMaps, Spec } from "../oci/types.ts";
import { validate } from "../oci/validate.ts";
import { decisions } from "../plan/decisions.ts";
import { type Launch, NO_INTERFACE, planLaunch } from "../plan/launch.ts";
import { connected, type LaunchInput } from "../plan/launch_input.ts";
import { hasUserNamespace } from "../oci/id_mappings.ts";
import { planIds } from "../plan/host_ids.ts";
import { planUsers } from "../plan/policy.ts";
import { type ProcessesPlan, withStandardLimits } from "../plan/processes.ts";
import { offersController } from "../cgroups/plan.ts";
import {
  hasOwnNetwork,
  planNamespaces,
  planPidNamespace,
  withJoinedHostname,
} from "../plan/namespaces.ts";
import { tapInUse } from "../network/tap.ts";
import { networkMode, takenInterfaces } from "../plan/network.ts";
import type { PlannedUserNamespace } from "../plan/user_namespace.ts";
import { preload } from "../os/preload.ts";
import { DescriptorReserve } from "../os/reserve.ts";
import { explainShortage } from "../os/shortage.ts";
import type { LaunchPlan, TerminalReceiver } from "../plan/types.ts";
import { type Cgroup, makeCgroup, planCgroup, planScope } from "../cgroups/cgroup.ts";
import { prepareMove } from "../cgroups/prepare_move.ts";
import { requireMember } from "../cgroups/membership.ts";
import { runHooksAsync } from "../hooks.ts";
import { debug, isWatched } from "../watch.ts";
import { type Conversation, expect, expectWaiter, releaseRootfs, tell } from "./handshake.ts";
import { HostIds } from "./host_ids.ts";
import { InitLog } from "./init_log.ts";
import {
  refuseOwnNamespaces,
  requireMountNamespace,
  withJoinedMappings,
} from "./joined_namespaces.ts";
import { fileServerPid, monitorPid } from "./monitor_process.ts";
import { type Proof, provenState, readProof, type Role } from "./proof.ts";
import { type Bundle, prepare, type Prepared, refreshNames } from "./prepare.ts";
import { type ContainerState, ociState, STATE_VERSION } from "./state.ts";
import {
  CONSOLE_FILE,
  type ContainerDirectory,
  CONTROL_SOCKET,
  EXEC_DIRECTORY,
  type Lock,
  START_SOCKET,
  type Store,
} from "./store.ts";
import { isGuestAlive } from "./tap_owner.ts";
import { TerminalTaker } from "./terminal.ts";
import { courseOf, Stopwatch, type Timeline } from "./timeline.ts";
import { undoCreate } from "./undo.ts";
import { isSameIdentity, readFileIdentity } from "../os/files.ts";

/** What `create` is asked for. */
export interface CreateOptions {
  id: string;
  bundle: Bundle;
  store: Store;
  /** Is called once init boots. */
  configuration(): Promise<Configuration>;
  /** Let systemd make the cgroup. */
  systemdCgroup: boolean;
  newKeyring: boolean;
  observer: Observer;
  /** Takes what the guest may not get, a sentence each. */
  warn?(warning: string): void;
  /** Who takes the master, when config.json asks for a terminal: see `terminalReceiver`. */
  terminal?: TerminalReceiver;
  /** The monitor's standard files; without them it gets the caller's. They stay open here. */
  stdio?: Stdio;
  /** Starts init, or takes one that was started before; `startInit` when it is not given. */
  spawn?: typeof startInit;
  /**
   * Is called before a file of the image is opened for writing, when the guest has one as its disk or is shared
   * all of them.
   *
   * @param owners as which the files then are to be seen on the host; only where the bundle's `mapsRoot` is set
   */
  allowWriting?(owners?: IdMaps): Promise<void>;
  /** Is called while init does most of its work, for which this process only waits. */
  meanwhile?(): void;
  /** Started when the command was. */
  stopwatch?: Stopwatch;
}

/** A container at the barrier: only `start` is left. */
export interface Created {
  directory: ContainerDirectory;
  state: ContainerState;
  /** The master of its terminal, which the caller closes; only when the creator takes it. */
  terminal?: number;
}

interface CheckedOptions extends CreateOptions {
  /** The name of the user namespace that is joined. */
  userNamespace: string | undefined;
}

/** Both plans, as `create --dry-run` prints them. */
export interface Plans {
  namespaces: LaunchPlan;
  launch: LaunchPlan;
}

/**
 * Plans a container without making anything. The network is attached by hooks that have not run,
 * so the second plan is one without it.
 */
export async function planContainer(asked: CreateOptions): Promise<Plans> {
  const options = withSpec(asked);
  const { bundle } = options;
  const prepared = prepare(bundle, await options.configuration());
  const launch = planDry(options, prepared);
  for (const warning of launch.warnings) options.warn?.(warning);
  return { namespaces: planNamespaces(bundle.spec), launch: launch.plan };
}

/**
 * Makes a container up to the barrier.
 *
 * Everything that can be refused is refused before anything is made. What is made is written down
 * first, so that `delete --force` finds it whenever this process is killed; when it fails instead,
 * all of it is undone.
 *
 * @throws UruncError; nothing is left behind then, unless it is a NotUndoneError
 */
export async function createContainer(asked: CreateOptions): Promise<Created> {
  const options = withSpec(asked);
  const { bundle, observer } = options;
  options.store.requireFree(options.id);
  const stopwatch = options.stopwatch ?? new Stopwatch("create", options.id);
  const did = commandSteps(observer, stopwatch);

  using taker = options.terminal?.kind === "creator" ? new TerminalTaker() : undefined;
  // Boots while we read the host: on a second processor it costs nothing. It has done nothing yet
  // and exits when we do.
  const spawn = options.spawn ?? startInit;
  const init = spawn(planPidNamespace(bundle.spec), observer, taker?.theirs);
  // It must be over before init is moved: a write that comes later would take it out of its cgroup.
  let moving = init.moving ?? Promise.resolve();
  // Once: then its number may be another process's.
  let ended: Promise<void> | undefined;
  const end = () => ended ??= moving.then(() => endInit(init));
  try {
    did("start init");
    using reserve = new DescriptorReserve();
    if (options.stdio !== undefined) sendStdio(init.channel, options.stdio);
    const configuration = await options.configuration();
    for (const warning of configuration.warnings ?? []) options.warn?.(warning);
    const prepared = prepare(bundle, configuration);
    // Not before: what it saves lasts for a short while only, about as long as what is left to do up to the move.
    if (init.moving === undefined) moving = prepareMove(init.pid);
    stopwatch.did("read image and host");
    // The plan without a network: whatever is refused is refused here, before anything is made.
    const { processes } = planDry(options, prepared);
    const cgroup = planFreeCgroup(options, prepared, processes);
    did("plan");

    const directory = options.store.create(options.id);
    const log = isWatched() ? new InitLog(options.id) : undefined;
    return await createIn(directory, {
      options,
      prepared,
      cgroup,
      init,
      moving,
      end,
      taker,
      did,
      stopwatch,
      log,
      reserve,
    });
  } catch (error) {
    await end();
    throw explainShortage("create container", options.id, error);
  } finally {
    init.channel.close();
  }
}

/** Makes the container's root what the guest needs of it, which until here was only read. */
async function readyRoot({ options, prepared, hostId }: Creation): Promise<void> {
  const { facts } = prepared;
  const { spec } = options.bundle;
  if (facts.sharedRoot?.isMapped) {
    // Those of a user namespace of config.json are in what the engine asked for.
    const owners = hasUserNamespace(spec.linux)
      ? undefined
      : planIds({ ...prepared, spec }, hostId).files;
    await options.allowWriting?.(owners);
  } else if (isWritten(facts)) {
    await options.allowWriting?.();
  }
}

/** Whether the guest writes to the container's root; where it may only read that, mount points are made there. */
function isWritten({ disks, sharedRoot }: HostFacts): boolean {
  return sharedRoot?.readOnly === false || disks?.some(isWrittenInImage) === true;
}

function isWrittenInImage({ source, readOnly }: DiskFacts): boolean {
  return source.kind === "imageFile" && !readOnly;
}

/** @throws AlreadyExistsError when the cgroup is in use because the id was taken meanwhile */
function planFreeCgroup(
  options: CreateOptions,
  prepared: Prepared,
  processes: ProcessesPlan,
): Cgroup {
  const { id, bundle, store } = options;
  const { cgroupsPath } = bundle.spec.linux;
  const { cgroups } = prepared.facts;
  // Where there is no such controller, what nobody asked for is left out.
  const resources = offersController(cgroups, "pids")
    ? withStandardLimits(bundle.spec.linux.resources, processes)
    : bundle.spec.linux.resources;
  try {
    return options.systemdCgroup
      ? planScope(cgroups, cgroupsPath, id, resources, bundle.spec.annotations)
      : planCgroup(cgroups, cgroupsPath, id, resources);
  } catch (error) {
    store.requireFree(id);
    throw error;
  }
}

/** What the second half of `createContainer` works with. */
interface Creation extends Conversation {
  options: CheckedOptions;
  prepared: Prepared;
  cgroup: Cgroup;
  /** When init can be moved without having to wait. */
  moving: Promise<void>;
  /** Kills and reaps init, which will not be started. */
  end(): Promise<void>;
  taker?: TerminalTaker;
  did: (name: string) => void;
  stopwatch: Stopwatch;
  /** The first of its ids out of `ids.range`. */
  hostId?: number;
  /** For the undoing. */
  reserve: DescriptorReserve;
  /** As it was written last; none before it was to be written. */
  state?: ContainerState;
}

async function createIn(directory: ContainerDirectory, creation: Creation): Promise<Created> {
  const { init, cgroup, taker, did } = creation;
  using _lock = await lockNew(directory);
  try {
    did("make directory");
    creation.hostId = await claimHostId(directory, creation);
    if (creation.hostId !== undefined) did("claim host id");
    await readyRoot(creation);
    // Before the cgroup exists: `delete` must know of it even if we are killed right after.
    const initial = save(directory, creation, initialState(creation));
    Deno.mkdirSync(`${directory.path}/root`, { mode: 0o700 });
    did("write state");

    makeCgroup(cgroup);
    did("make cgroup");
    await creation.moving;
    cgroup.join(init.pid);
    did("join cgroup");

    const created = await launch(directory, creation, initial);
    const state = save(directory, creation, created);
    did("write created state");
    return { directory, state, terminal: taker?.take() };
  } catch (error) {
    await creation.end();
    creation.reserve.release();
    const { state } = creation;
    if (state !== undefined) throw await undoCreate(directory, state, error);
    directory.remove();
    throw error;
  }
}

/** Undefined when neither the monitor nor the owners of files are others than config.json says. */
async function claimHostId(
  directory: ContainerDirectory,
  { options, prepared }: Creation,
): Promise<number | undefined> {
  const { count } = planIds({ ...prepared, spec: options.bundle.spec });
  if (count === 0) return undefined;
  const { range } = prepared.configuration.ids;
  return await new HostIds().claim(parseIdRange(range!)!, directory.path, count);
}

/** Nothing else is in it yet: it goes when it cannot be locked. */
async function lockNew(directory: ContainerDirectory): Promise<Lock> {
  try {
    return await directory.lockAsync();
  } catch (error) {
    // Otherwise it was deleted meanwhile, and may be another container's by now.
    if (!(error instanceof NotFoundError)) directory.remove();
    throw error;
  }
}

/** Writes a state down, and keeps it for the undoing: what is about to be made is in it. */
function save(
  directory: ContainerDirectory,
  creation: Creation,
  state: ContainerState,
): ContainerState {
  creation.state = state;
  directory.writeState(state);
  return state;
}

/** The handshake of channel.ts, from the creator's side. */
async function launch(
  directory: ContainerDirectory,
  creation: Creation,
  state: ContainerState,
): Promise<ContainerState> {
  const { options, prepared, init, did, log } = creation;
  const { spec } = options.bundle;
  const timeline: Timeline = { create: creation.stopwatch.course, init: {} };

  const hookState = ociState(state, "creating");
  const ownNetwork = hasOwnNetwork(spec);
  const { prestart, createRuntime } = spec.hooks;
  const hasHooks = prestart.length > 0 || createRuntime.length > 0;
  const namespaces = planNamespaces(spec);
  log?.begin(namespaces);
  const watched = log === undefined ? undefined : true;
  tell(
    creation,
    { type: "perform", plan: namespaces, state: hookState, watched },
    // Hooks may attach a network. Without any, init continues at once.
    ...(ownNetwork && !hasHooks ? [{ type: "readNetwork" } as const] : []),
  );
  preload("./proof.ts");
  preload("./monitor_process.ts");
  preload("../cgroups/membership.ts");
  preload("../hooks.ts");
  preload("../network/arrival.ts");
  const { times, hostname } = await expect(creation, "performed");
  const container = readNamespaces(init.pid);
  timeline.init.namespaces = courseOf(init.pid, namespaces, times);
  did("namespaces");

  // In the runtime's namespaces, with the container's made and nothing of it set up: here docker
  // attaches the network (config.md, "POSIX-platform Hooks").
  await runHooksAsync(prestart, hookState, { name: "prestart" });
  await runHooksAsync(createRuntime, hookState, { name: "createRuntime" });
  did("hooks");

  if (ownNetwork && hasHooks) tell(creation, { type: "readNetwork" });
  if (hasHooks) refreshNames(prepared, options.bundle);
  const network = ownNetwork ? (await expect(creation, "network")).network ?? undefined : undefined;
  if (network !== undefined) requireOwnNetwork(init.pid);
  const lacksNetwork = ownNetwork && network === undefined;
  const isAmbiguous = lacksNetwork && hasAddress(init.pid);
  if (isAmbiguous) options.warn?.(NO_INTERFACE);
  const input = launchInput(options, prepared, {
    ...creation,
    directory: directory.path,
    network,
    hostname,
  });
  const planned = planLaunch(input);
  for (const warning of planned.warnings) options.warn?.(warning);
  if (isWatched()) logDecisions(creation, input, planned);
  if (network !== undefined && planned.usesNetwork) {
    requireNoOtherGuest(network, creation.cgroup.plan.path);
    const [first, ...further] = takenInterfaces(connected(input).network)
      .map(({ facts, tap }) => ({ tap, interface: facts.name }));
    // A namespace that outlives the container keeps the tap; `delete` takes it away.
    const path = spec.linux.namespaces.find(({ type }) => type === "network")?.path;
    state = {
      ...state,
      network: {
        namespacePath: path,
        namespace: readFileIdentity(`/proc/${init.pid}/ns/net`),
        ...first!,
        ...(further.length > 0 && { further }),
        routed: networkMode(spec) === "static"
          ? { forwarding: network.forwarding === true }
          : undefined,
      },
    };
  }
  state = {
    ...state,
    lacksNetwork: lacksNetwork && !isAmbiguous ? true : undefined,
    expectedIdentity: planned.identity,
    namespaces: { container, monitor: planned.monitorNamespaces },
    fileServer: planned.fileServer,
    fileServerNamespace: expectedUserNamespace(planned.fileMaps, undefined),
    userNamespace: expectedUserNamespace(planned.userNamespace, options.userNamespace),
    memoryBytes: planned.memoryBytes,
    processes: planned.processes.needed,
    vcpus: planned.vcpus,
    stop: planned.stop,
  };
  save(directory, creation, state);
  did("network");

  log?.begin(planned.plan);
  tell(creation, { type: "perform", plan: planned.plan, state: hookState, watched });
  options.meanwhile?.();
  const { rootDisk } = prepared.facts;
  if (rootDisk !== undefined) {
    await releaseRootfs(creation, rootDisk);
    did("release root");
  }
  const reached = await expect(creation, "barrier", rootDisk);
  await expectWaiter(creation);
  timeline.init.launch = courseOf(init.pid, planned.plan, reached.times);
  did("launch");

  // Before any guest instruction ran: a mismatch here is our own bug, and must never start.
  const proofs = new Map<Role, Proof>();
  const monitor = monitorPid(state);
  const processes: [Role, number][] = [
    ["waiter", init.pid],
    ["monitor", requireStarted(monitor === init.pid ? undefined : monitor, "monitor")],
    ...(state.fileServer
      ? [["files", requireStarted(fileServerPid(state), "file server")] as [Role, number]]
      : []),
  ];
  for (const [role, pid] of processes) {
    proofs.set(role, proveProcess(state, { role, pid }));
    requireMember(creation.cgroup.plan, pid);
  }
  did("prove identity");
  return { ...state, ...provenState(proofs), phase: "created", timeline };
}

/** Where the container's directory will be; nothing is there yet when only a plan is made. */
function dryDirectory(options: CreateOptions): string {
  return `${options.store.root}/${options.id}`;
}

/** The pid of what init has started. @throws HostError when it has ended */
function requireStarted(pid: number | undefined, what: string): number {
  if (pid !== undefined) return pid;
  throw new HostError({
    operation: "launch container",
    reason: `the ${what}'s process ended before the container was created`,
    remedy: "was it killed?",
  });
}

/** @throws HostError listing every difference */
function proveProcess(state: ContainerState, process: { role: Role; pid: number }): Proof {
  const proof = readProof(state, { ...process, started: false });
  if (proof.differences.length === 0) return proof;
  const { differences } = proof;
  throw new HostError({
    operation: "prove the monitor's identity",
    reason: differences.join("; "),
    remedy: state.userNamespace?.name === undefined
      ? "this is a defect of urunc: the container was not started"
      : "where mappings differ, config.json's are not those of the user namespace that it names; else " +
        "this is a defect of urunc: the container was not started",
  });
}

/**
 * With config.json as it is meant, and checked.
 *
 * @throws InvalidConfigurationError, UnsupportedError naming the property
 */
function withSpec(options: CreateOptions): CheckedOptions {
  const { spec, userNamespace } = withJoinedMappings(options.bundle.spec);
  checkSpec(spec);
  return { ...options, bundle: { ...options.bundle, spec }, userNamespace };
}

function checkSpec(spec: Spec): void {
  validate(spec);
  requireMountNamespace(spec);
  refuseOwnNamespaces(spec);
}

/** A plan before anything is made: hooks may attach a network later. */
function planDry(options: CreateOptions, prepared: Prepared): Launch {
  const directory = dryDirectory(options);
  const network = hasOwnNetwork(options.bundle.spec) ? "later" : undefined;
  return planLaunch(launchInput(options, prepared, { directory, network }));
}

/** What a plan depends on besides what was found. */
interface Made {
  directory: string;
  network: NetworkFacts | "later" | undefined;
  /** Of the UTS namespace; undefined, as what follows, when only a plan is made. */
  hostname?: string;
  cgroup?: Cgroup;
  hostId?: number;
}

function launchInput(
  options: CreateOptions,
  prepared: Prepared,
  { directory, network, hostname, cgroup, hostId }: Made,
): LaunchInput {
  const spec = withJoinedHostname(options.bundle.spec, hostname);
  const ids = planIds({ ...prepared, spec }, hostId);
  const users = planUsers(spec, prepared.configuration, ids.monitor);
  return {
    ...prepared,
    spec: { ...spec, process: { ...spec.process, user: users.monitor } },
    guestUser: users.guest,
    filesUser: users.files,
    fileMaps: ids.files,
    network: network === "later" ? undefined : network,
    networkComesLater: network === "later" ? true : undefined,
    paths: {
      rootfs: options.bundle.rootfs,
      mountPoint: `${directory}/root`,
      startSocket: `${directory}/${START_SOCKET}`,
      controlSocket: `${directory}/${CONTROL_SOCKET}`,
      execDirectory: `${directory}/${EXEC_DIRECTORY}`,
      console: `${directory}/${CONSOLE_FILE}`,
    },
    deviceCgroup: cgroup?.deviceCgroup,
    cgroup: cgroup?.plan.path,
    newKeyring: options.newKeyring,
    terminal: options.terminal,
  };
}

function logDecisions({ options, cgroup }: Creation, input: LaunchInput, launch: Launch): void {
  const { id } = options;
  for (const [message, fields] of decisions(input, launch)) debug(message, { ...fields, id });
  debug(`cgroup ${cgroup.unit ?? cgroup.plan.path}`, {
    by: cgroup.unit === undefined ? "urunc" : "systemd",
    limits: cgroup.limits.length,
    id,
  });
}

function initialState(creation: Creation): ContainerState {
  const { options, prepared, init, cgroup } = creation;
  const { spec, path, rootfs } = options.bundle;
  const { nodeKernel } = prepared.facts;
  return {
    version: STATE_VERSION,
    ociVersion: spec.ociVersion,
    id: options.id,
    bundle: path,
    rootfs,
    annotations: spec.annotations,
    monitor: prepared.monitor.name,
    kernel: nodeKernel && { name: nodeKernel.name, sha256: nodeKernel.sha256 },
    pid: init.pid,
    pidStartTime: readProcessStat(init.pid)?.startTime,
    initExecutable: readFileIdentity(`/proc/${init.pid}/exe`),
    creatorPid: Deno.pid,
    creatorStartTime: readProcessStat(Deno.pid)?.startTime,
    phase: "creating",
    created: new Date().toISOString(),
    cgroupPaths: cgroup.directories,
    systemdUnit: cgroup.unit,
    hostId: creation.hostId,
    hooks: { poststart: spec.hooks.poststart, poststop: spec.hooks.poststop },
    owner: Deno.uid() ?? 0,
  };
}

/**
 * A defect in the steps before must not end with a guest in the place of the host's interface.
 *
 * @throws HostError when init is in the runtime's network namespace
 */
function requireOwnNetwork(pid: number): void {
  const own = readFileIdentity("/proc/thread-self/ns/net");
  if (!isSameIdentity(own, readFileIdentity(`/proc/${pid}/ns/net`))) return;
  throw new HostError({
    operation: "attach network",
    reason: "the container is in the runtime's own network namespace",
    remedy: "this is a defect of urunc: nothing was changed in it",
  });
}

/** @throws WrongStateError when another container's guest has the network */
function requireNoOtherGuest({ taps = [] }: NetworkFacts, ownCgroup: string): void {
  for (const { name, owner } of taps) {
    if (owner !== undefined && isGuestAlive(owner, ownCgroup)) throw tapInUse(name, owner);
  }
}

/** Of one that is joined it is known which: what the path leads to later must be no other. */
function expectedUserNamespace(
  planned: PlannedUserNamespace | undefined,
  joined: string | undefined,
): ExpectedUserNamespace | undefined {
  if (planned === undefined) return undefined;
  const { path, uids, gids } = planned;
  return { uids, gids, ...path === undefined ? { owner: NAMESPACE_OWNER } : { name: joined! } };
}

/**
 * Kills and reaps an init that will not be started. Until every `prepareMove` of it is over its number must not
 * become another process's.
 */
function endInit(init: SpawnedInit): void {
  try {
    kill(init.pid, SIGKILL);
    waitpid(init.pid, 0);
  } catch {
    // It exited and was reaped.
  }
  init.reaped?.();
}

function commandSteps(observer: Observer, stopwatch: Stopwatch): (name: string) => void {
  let index = 0;
  return (name) => {
    stopwatch.did(name);
    observer.afterStep("command", index++, name);
  };
}
