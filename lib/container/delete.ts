import { CLONE_NEWNET, close, LinuxError, O_RDONLY, open, setns } from "../../ffi/linux.ts";
import { errorMessage, NotFoundError, UruncError, WrongStateError } from "../errors.ts";
import { setForwarding } from "../network/forwarding.ts";
import { removeMasquerade } from "../network/masquerade.ts";
import { removeIngress } from "../network/redirect.ts";
import { isTapOfAnother, removeTap, tapExists } from "../network/tap.ts";
import { removeCgroup } from "../cgroups/cgroup.ts";
import { stopScope } from "../cgroups/systemd/scope_cgroup.ts";
import { runEveryHook } from "../hooks.ts";
import type { LogFields } from "../log.ts";
import { timed } from "../watch.ts";
import { HostIds } from "./host_ids.ts";
import { endContainer, killProcess } from "./kill.ts";
import { containerStatus } from "./pause.ts";
import { recoverState } from "./recover.ts";
import { type ContainerState, ociState } from "./state.ts";
import { computeStatus } from "./status.ts";
import { isGuestAlive } from "./tap_owner.ts";
import type { ContainerDirectory, Lock, Store } from "./store.ts";
import { type FileIdentity, isSameIdentity, readFileIdentity } from "../os/files.ts";

/**
 * Removes what is left of a stopped container, and only what urunc made.
 *
 * @param force kill it first if it still runs; a missing container is then no error, since callers
 *   clean up with it (runc does the same)
 * @returns warnings: poststop hooks that failed, as the specification requires
 * @throws NotFoundError, WrongStateError when it is not stopped
 */
export async function deleteContainer(
  store: Store,
  id: string,
  force: boolean,
): Promise<string[]> {
  let directory: ContainerDirectory;
  try {
    directory = store.open(id);
  } catch (error) {
    if (force && error instanceof NotFoundError) return [];
    throw error;
  }
  // Before the lock: a creator holds it for as long as its hooks take. A command that waits for the
  // container's process, which may be stopped, holds it as long: the end of that one lets them go on.
  if (force) await killFirst(directory);
  else requireStopped(id, directory.readState());
  using lock = force ? await lockIfThere(directory) : await directory.lockAsync();
  if (lock === undefined) return [];
  const { state, warnings } = force ? readAnyState(directory) : readOwnState(directory);
  if (state === undefined) {
    // A creator that was killed before it wrote anything down had made nothing else but this.
    await new HostIds().release(directory.path);
    directory.remove();
    return [];
  }
  if (!force) requireStopped(id, state);
  return [...warnings, ...await forceDelete(directory, state)];
}

/** Ends the process that the state names by now: what is left is done with the lock. */
async function killFirst(directory: ContainerDirectory): Promise<void> {
  const { state } = readAnyState(directory);
  if (state !== undefined) await killProcess(state);
}

/** Undefined when the container is deleted meanwhile: by its creator, for one, whose init was killed. */
async function lockIfThere(directory: ContainerDirectory): Promise<Lock | undefined> {
  try {
    return await directory.lockAsync();
  } catch (error) {
    if (error instanceof NotFoundError) return undefined;
    throw error;
  }
}

/** @throws WrongStateError unless the container is stopped; one without a state is */
function requireStopped(id: string, state: ContainerState | undefined): void {
  const status = state === undefined ? "stopped" : computeStatus(state);
  if (status === "stopped") return;
  throw new WrongStateError({
    operation: "delete container",
    subject: id,
    reason: `container is not stopped: it is ${containerStatus(state!)}`,
    remedy: "kill it first, or delete it with --force",
  });
}

interface ReadState {
  state: ContainerState | undefined;
  warnings: string[];
}

function readOwnState(directory: ContainerDirectory): ReadState {
  return { state: directory.readState(), warnings: [] };
}

/** Whatever state.json holds, the container must be removable. */
function readAnyState(directory: ContainerDirectory): ReadState {
  try {
    return readOwnState(directory);
  } catch (error) {
    const text = directory.readStateText();
    if (!(error instanceof UruncError) || text === undefined) throw error;
    const { operation, subject, reason } = error.parts;
    return {
      state: recoverState(directory.id, text, directory.readPreviousStateText()),
      warnings: [`${operation} ${subject}: ${reason}: what could be found of it is removed`],
    };
  }
}

/** Ends and removes a container whose lock the caller holds. Returns warnings. */
export async function forceDelete(
  directory: ContainerDirectory,
  state: ContainerState,
): Promise<string[]> {
  const { id, pid, network, cgroupPaths, systemdUnit, hostId } = state;
  const step = <T>(what: string, action: () => T | Promise<T>, fields?: LogFields) =>
    timed(`delete: ${what}`, action, { ...fields, id });
  await step("kill the monitor", () => endContainer(state), { pid });
  const warnings = [
    ...await step("remove the network", () => removeNetwork(state), { tap: network?.tap }),
    ...(systemdUnit === undefined ? [] : stopScope(systemdUnit)),
  ];
  await step("remove the cgroup", () => removeCgroup(cgroupPaths), {
    directories: cgroupPaths.length,
  });
  if (hostId !== undefined) {
    await step("give the host id back", () => new HostIds().release(directory.path, hostId), {
      hostId,
    });
  }
  await step("remove the state", () => directory.remove(), { path: directory.path });
  const stopped = ociState(state, "stopped");
  const failed = await runEveryHook(state.hooks.poststop, stopped, { name: "poststop" });
  return [...warnings, ...failed];
}

/**
 * Takes our tap and redirect out of a network namespace that outlives the container. In one that
 * was made for it they went with it.
 *
 * Others in that namespace, containers of a pod, may have changed whatever they like in it. The
 * container must be removable all the same.
 *
 * @returns warnings: what could not be removed
 */
function removeNetwork(state: ContainerState): string[] {
  const { network } = state;
  if (network?.namespacePath === undefined) return [];
  const warnings: string[] = [];
  const attempt: Attempt = (step) => {
    try {
      return { value: step() };
    } catch (error) {
      warnings.push(`remove network: ${errorMessage(error)}`);
      return { error };
    }
  };
  const { namespacePath, namespace } = network;
  const { value: opened } = attempt(() => openNetwork(namespacePath, namespace));
  if (opened === undefined) return warnings;
  const own = open("/proc/thread-self/ns/net", O_RDONLY);
  try {
    if (!attempt(() => enterNetwork(opened)).value) return warnings;
    try {
      cleanNetwork(state, attempt);
    } finally {
      setns(own, CLONE_NEWNET);
    }
  } finally {
    close(own);
    close(opened);
  }
  return warnings;
}

/** Does a step and notes why it failed, where it does. */
type Attempt = <T>(step: () => T) => { value?: T; error?: unknown };

/** In the network namespace. */
function cleanNetwork({ network, pid, pidStartTime }: ContainerState, attempt: Attempt): void {
  const { tap, interface: link, routed, further = [] } = network!;
  const own = pid === undefined || pidStartTime === undefined
    ? undefined
    : { pid, startTime: pidStartTime };
  // Another guest has the namespace: this one was refused it, or ended before that one began. Then
  // the redirection is that guest's, too.
  const isAnothers = (tap: string) => attempt(() => isTapOfAnother(tap, own, isGuestAlive)).value;
  if (isAnothers(tap)) return;
  // The first is the last: as long as its tap is there, no other guest begins to use the namespace.
  for (const { tap, interface: link } of further) {
    if (!isAnothers(tap) && cleanTap(tap, attempt)) attempt(() => removeIngress(link));
  }
  if (!cleanTap(tap, attempt)) return;
  attempt(() => routed === undefined ? removeIngress(link) : stopRouting(link, routed));
}

/** Returns false when a monitor uses the tap: then the redirection stays as well. */
function cleanTap(tap: string, attempt: Attempt): boolean {
  // Another interface of that name is not ours: the tap was deleted then.
  const { error } = attempt(() => tapExists(tap) && removeTap(tap, isGuestAlive));
  return !(error instanceof WrongStateError);
}

/** Also undoes what a killed creator had not reached yet, which changes nothing. */
function stopRouting(link: string, { forwarding }: { forwarding: boolean }): void {
  removeMasquerade();
  try {
    setForwarding(link, forwarding);
  } catch (error) {
    // The pod's interface was removed already.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * @param expected which namespace it was, where that is known
 * @returns undefined when the path does not name it any more
 */
function openNetwork(path: string, expected: FileIdentity | undefined): number | undefined {
  let fd: number;
  try {
    fd = open(path, O_RDONLY);
  } catch (error) {
    // The namespace is gone, and our tap with it.
    if (error instanceof LinuxError && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    // Of what was opened: the path may name a third one by now.
    const opened = readFileIdentity(`/proc/self/fd/${fd}`);
    if (expected === undefined || isSameIdentity(opened, expected)) return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
  close(fd);
  return undefined;
}

/** Returns false when what is left at the path (an unmounted file) is not a namespace any more. */
function enterNetwork(fd: number): boolean {
  try {
    setns(fd, CLONE_NEWNET);
    return true;
  } catch (error) {
    if (error instanceof LinuxError && error.code === "EINVAL") return false;
    throw error;
  }
}
