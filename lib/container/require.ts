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
  throw new WrongStateError({
    operation: "read container",
    subject: directory.id,
    reason: "container not running: its create was interrupted",
    remedy: `urunc delete --force ${directory.id}`,
  });
}
