import type { Status } from "../oci/state.ts";
import { containerStatus } from "./pause.ts";
import type { ContainerState } from "./state.ts";
import type { ContainerDirectory } from "./store.ts";

/** A container as it was at one moment. */
export interface Observation {
  state: ContainerState;
  status: Status;
}

/**
 * A container's state, and the status that goes with it, without waiting for who works on it.
 *
 * @returns undefined without a state: not yet, no longer, or its creator was killed
 * @throws UruncError when state.json is of another version or damaged
 */
export function observeContainer(
  directory: Pick<ContainerDirectory, "readState">,
): Observation | undefined {
  for (let state = directory.readState(), last = false; state !== undefined;) {
    const status = containerStatus(state);
    if (last || status !== "stopped" || state.phase !== "creating") return { state, status };
    // Its creator has ended; perhaps because it was done, after the state was read.
    state = directory.readState();
    last = state?.phase === "creating";
  }
  return undefined;
}
