import { type NotFoundError, WrongStateError } from "../errors.ts";
import type { ContainerState } from "./state.ts";
import { type ContainerDirectory, notFound } from "./store.ts";

/**
 * The state of a container that a command is about.
 *
 * @throws NotFoundError when it is not made yet, or just removed; WrongStateError when its creator
 *   was killed before it wrote any down
 */
export function requireState(directory: ContainerDirectory): ContainerState {
  const state = directory.readState();
  if (state !== undefined) return state;
  throw withoutState(directory);
}

/**
 * The error about a directory that has no state.
 *
 * @throws NotFoundError when the directory is gone
 */
export function withoutState(directory: ContainerDirectory): NotFoundError | WrongStateError {
  const { id } = directory;
  // As runc, which does not know a container before its state is written either.
  if (directory.isPassing()) return notFound(id);
  return new WrongStateError({
    operation: "read container",
    subject: id,
    reason: "container not running: its create was interrupted",
    remedy: `urunc delete --force ${id}`,
  });
}
