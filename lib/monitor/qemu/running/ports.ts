import { LinuxError } from "../../../../ffi/linux.ts";
import { errorMessage, HostError, WrongStateError } from "../../../errors.ts";
import type { RunningGuest } from "../../types.ts";
import { addPortCommand } from "../qmp.ts";
import { ClosedControl, Control, RefusedCommand } from "./control.ts";

/** qdev_set_id() of system/qdev-monitor.c: "Duplicate device ID 'exec.2'". Older versions have other words after it. */
const TAKEN = /^Duplicate /;

/**
 * Errors of sockets whose other end has exited (unix(7), send(2)); ENOENT: its container is deleted as well.
 */
const EXITED = ["ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOENT"];

/**
 * Adds a port for a further process. One that is there already is not an error: what added it may have been
 * killed before it could say so.
 *
 * @throws HostError when the monitor refuses or does not answer; WrongStateError when it has exited. Takes no
 *   longer than `Control` allows
 */
export async function addPort({ controlSocket }: RunningGuest, index: number): Promise<void> {
  try {
    using control = await Control.connect(controlSocket);
    await control.ask(addPortCommand(`exec.${index}`));
  } catch (error) {
    if (error instanceof RefusedCommand && TAKEN.test(error.description)) return;
    const parts = { operation: "add a port to the guest", subject: `exec.${index}`, cause: error };
    throw hasExited(error)
      ? new WrongStateError({ ...parts, reason: "its monitor has exited" })
      : new HostError({ ...parts, reason: errorMessage(error) });
  }
}

function hasExited(error: unknown): boolean {
  return error instanceof ClosedControl ||
    error instanceof LinuxError && EXITED.includes(error.code);
}
