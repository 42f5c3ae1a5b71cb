import { errorMessage, NotUndoneError } from "../errors.ts";
import { forceDelete } from "./delete.ts";
import type { ContainerState } from "./state.ts";
import type { ContainerDirectory } from "./store.ts";

/**
 * Takes back what a failed create has made. When that fails too, the first error is still the one
 * to tell; the second is added to it.
 *
 * @param cause why it failed
 * @returns what to throw: the cause, with what went wrong here; a NotUndoneError when something is left
 */
export async function undoCreate(
  directory: ContainerDirectory,
  state: ContainerState,
  cause: unknown,
): Promise<unknown> {
  let warnings: string[];
  try {
    // Poststop hooks run as well: a prestart hook may have attached a network that they detach
    // (runtime.md: after a failed hook the lifecycle continues with deletion).
    warnings = await forceDelete(directory, state);
  } catch (error) {
    const { id } = state;
    return notUndone({ id, root: directory.path.slice(0, -`/${id}`.length) }, error, cause);
  }
  // Of the same class, which callers act on.
  if (warnings.length > 0 && cause instanceof Error) {
    cause.message += `; when it was undone: ${warnings.join("; ")}`;
  }
  return cause;
}

/**
 * What to report when a container cannot be removed.
 *
 * @param container which one, of which runtime (urunc by default)
 * @param error what came of it
 * @param cause why it was not to stay
 */
export function notUndone(
  { program = "urunc", root, id }: { program?: string; root: string; id: string },
  error: unknown,
  cause: unknown,
): NotUndoneError {
  return new NotUndoneError({
    operation: "undo create of container",
    subject: id,
    reason: `${errorMessage(error)}; it was undone because of: ${errorMessage(cause)}`,
    remedy: `${program} --root ${root} delete --force ${id}`,
    cause,
  });
}
