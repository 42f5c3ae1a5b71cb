import { formatError } from "../../../errors.ts";
import { debug } from "../../../watch.ts";
import type { RunningGuest, StopOutcome } from "../../types.ts";
import { POWER_BUTTON } from "../qmp.ts";
import { Control } from "./control.ts";

/**
 * Presses a guest's power button, by its monitor's control socket. A guest does not report whether it
 * handles it: it has as long as the caller waits. Takes no longer than `Control` allows.
 */
export async function stopGuest({ controlSocket }: RunningGuest): Promise<StopOutcome> {
  try {
    using control = await Control.connect(controlSocket);
    await control.ask(POWER_BUTTON);
    return "stopping";
  } catch (error) {
    debug(`QMP: ${formatError(error)}`, { controlSocket });
    // Whatever is wrong with the control socket, a signal still terminates the monitor. It may also have
    // exited meanwhile.
    return "unresponsive";
  }
}
