import { WrongStateError } from "../errors.ts";
import type { Status } from "../oci/state.ts";
import { freezeCgroup, isFrozen, thawCgroup } from "../cgroups/freezer.ts";
import { requireState } from "./require.ts";
import type { ContainerState } from "./state.ts";
import { computeStatus } from "./status.ts";
import type { Store } from "./store.ts";

/**
 * A container's status as users see it: `paused` is a created or running container whose cgroup is
 * frozen, by whatever process. It is read, never remembered.
 */
export function containerStatus(state: ContainerState): Status {
  const status = computeStatus(state);
  const pausable = status === "created" || status === "running";
  return pausable && isFrozen(state.cgroupPaths) ? "paused" : status;
}

/**
 * Stops a container's monitor, and with it the guest, where it is.
 *
 * @throws NotFoundError; WrongStateError unless it is created or running; HostError when the
 *   processes do not stop; they are thawed then
 */
export async function pauseContainer(store: Store, id: string): Promise<void> {
  const directory = store.open(id);
  requireStatus(requireState(directory), ["created", "running"], "pause container", NOT_RUNNING);
  using _lock = await directory.lockAsync();
  const state = requireState(directory);
  requireStatus(state, ["created", "running"], "pause container", NOT_RUNNING);
  await freezeCgroup(state.cgroupPaths);
}

/**
 * Resumes a paused container.
 *
 * @throws NotFoundError; WrongStateError unless it is paused
 */
export async function resumeContainer(store: Store, id: string): Promise<void> {
  const directory = store.open(id);
  requireStatus(requireState(directory), ["paused"], "resume container", NOT_PAUSED);
  using _lock = await directory.lockAsync();
  const state = requireState(directory);
  requireStatus(state, ["paused"], "resume container", NOT_PAUSED);
  await thawCgroup(state.cgroupPaths);
}

// As runc words them; callers match the texts.
const NOT_RUNNING = "container not running";
const NOT_PAUSED = "container not paused";

function requireStatus(
  state: ContainerState,
  allowed: Status[],
  operation: string,
  reason: string,
): void {
  const status = containerStatus(state);
  if (allowed.includes(status)) return;
  throw new WrongStateError({
    operation,
    subject: state.id,
    reason: `${reason}: it is ${status}`,
  });
}
