import { deleteContainer } from "../../container/delete.ts";
import { killContainer } from "../../container/kill.ts";
import { waitpidAsync } from "../../../ffi/linux.ts";
import { planContainer } from "../../container/create.ts";
import { startContainer } from "../../container/start.ts";
import { formatError } from "../../errors.ts";
import { effectOf, parseSignal } from "../../monitor/signals.ts";
import type { CommandOf } from "../parser/commands.ts";
import type { Context } from "../context.ts";
import { handOverCreation } from "../ordinary.ts";
import { printJson } from "../../output.ts";
import { debug } from "../../watch.ts";
import { TerminalRelay } from "../terminal.ts";
import { createAndRecord, creationOf } from "./create.ts";
import { SIGNAL_EXIT_BASE } from "../../os/signals.ts";

/**
 * Signals to forward to the guest. The second one that asks it to stop kills it.
 */
const FORWARDED: Deno.Signal[] = [
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGPWR",
  "SIGUSR1",
  "SIGUSR2",
  "SIGWINCH",
];

/** `urunc run`: create, start, wait, delete. Returns the guest's exit code. */
export async function run(command: CommandOf<"run">, context: Context): Promise<number> {
  if (!command.dryRun) await handOverCreation(command, context);
  const options = creationOf(command, context);
  if (command.dryRun) {
    printJson(await planContainer(options));
    return 0;
  }
  const { state, terminal } = await createAndRecord(command, options);
  let relay: TerminalRelay | undefined;
  try {
    // A new size is the terminal's to pass on: as a signal it could be the image's STOPSIGNAL.
    const forwarded = terminal === undefined
      ? FORWARDED
      : FORWARDED.filter((name) => name !== "SIGWINCH");
    const stopForwarding = command.detach
      ? () => {}
      : forwardSignals(command.id, context, forwarded);
    // Now that no signal ends us before the terminal is restored.
    if (terminal !== undefined) relay = new TerminalRelay(terminal);
    const { warnings } = await startContainer(context.store, command.id);
    warnings.forEach((warning) => context.log.warning(warning));
    if (command.detach) return 0;

    const ended = await waitpidAsync(state.pid!);
    debug("the monitor exited", { exit: ended.exitCode, signal: ended.signal, id: command.id });
    await relay?.ended;
    stopForwarding();
    await remove(command.id, context);
    return ended.signal === undefined ? ended.exitCode! : SIGNAL_EXIT_BASE + ended.signal;
  } catch (error) {
    await remove(command.id, context);
    throw error;
  } finally {
    relay?.restore();
  }
}

async function remove(id: string, context: Context): Promise<void> {
  const warnings = await deleteContainer(context.store, id, true);
  warnings.forEach((warning) => context.log.warning(warning));
}

/** Returns a function that ends the forwarding. */
function forwardSignals(id: string, context: Context, names: Deno.Signal[]): () => void {
  let asked = false;
  const forward = async (name: Deno.Signal) => {
    const signal = parseSignal(name);
    const atOnce = asked;
    if (effectOf(signal) === "stop") asked = true;
    try {
      await killContainer(context.store, id, signal, { atOnce });
    } catch (error) {
      // It has just exited: nothing to signal.
      context.log.debug(formatError(error));
    }
  };
  const listeners = names.map((name) => {
    const listener = () => void forward(name);
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });
  return () => listeners.forEach(({ name, listener }) => Deno.removeSignalListener(name, listener));
}
