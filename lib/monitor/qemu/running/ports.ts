import { errorMessage, HostError } from "../../../errors.ts";
import type { RunningGuest } from "../../types.ts";
import { addPortCommand } from "../qmp.ts";
import { Control, RefusedCommand } from "./control.ts";

/** qdev_set_id() of system/qdev-monitor.c: "Duplicate device ID 'exec.2'". Older versions have other words after it. */
const TAKEN = /^Duplicate /;

/**
 * Adds a port for a further process. One that is there already is not an error: what added it may have been
 * killed before it could say so.
 *
 * @throws HostError when the monitor refuses or does not answer. Takes no longer than `Control` allows
 */
export async function addPort({ controlSocket }: RunningGuest, index: number): Promise<void> {
  try {
    using control = await Control.connect(controlSocket);
    await control.ask(addPortCommand(`exec.${index}`));
  } catch (error) {
    if (error instanceof RefusedCommand && TAKEN.test(error.description)) return;
    throw new HostError({
      operation: "add a port to the guest",
      subject: `exec.${index}`,
      reason: errorMessage(error),
      cause: error,
    });
  }
}
