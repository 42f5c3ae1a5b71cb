import { UruncError } from "../errors.ts";
import { forceDelete } from "./delete.ts";
import type { ContainerState } from "./state.ts";
import type { ContainerDirectory } from "./store.ts";

/**
 * Takes back what a failed create has made. When that fails too, the first error is still the one
 * to tell; the second is added to it.
 *
 * @throws UruncError only when something could not be undone
 */
export async function undoCreate(
  directory: ContainerDirectory,
  state: ContainerState,
  cause: unknown,
): Promise<void> {
  try {
    // Poststop hooks run as well: a prestart hook may have attached a network that they detach
    // (runtime.md: after a failed hook the lifecycle goes on with deletion).
    await forceDelete(directory, state);
  } catch (error) {
    throw new UruncError({
      operation: "undo create of container",
      subject: state.id,
      reason: `${text(error)}; it was undone because of: ${text(cause)}`,
      remedy: `urunc delete --force ${state.id}`,
      cause,
    });
  }
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
