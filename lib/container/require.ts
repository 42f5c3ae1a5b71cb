import { WrongStateError } from "../errors.ts";
import type { ContainerState } from "./state.ts";
import type { ContainerDirectory } from "./store.ts";

/**
 * The state of a container that a command wants to do something with.
 *
 * @throws WrongStateError when its creator was killed before it wrote any down
 */
export function requireState(directory: ContainerDirectory): ContainerState {
  const state = directory.readState();
  if (state !== undefined) return state;
  throw interrupted(directory.id);
}

/** The error about a container whose creator was killed before it wrote any state down. */
export function interrupted(id: string): WrongStateError {
  return new WrongStateError({
    operation: "read container",
    subject: id,
    reason: "container not running: its create was interrupted",
    remedy: `urunc delete --force ${id}`,
  });
}
