import type { Observer } from "../launch/observer.ts";
import type { Command } from "./commands.ts";
import { type Context, makeContext } from "./context.ts";
import { Logger } from "./log.ts";

/** As runc: anything that went wrong is 1. */
const FAILURE = 1;

/**
 * Does what a command says. Errors are formatted and logged here and nowhere below.
 *
 * @returns the exit code
 */
export async function runCommand(command: Command, observer: Observer): Promise<number> {
  const log = new Logger({ file: command.log, format: command.logFormat, debug: command.debug });
  try {
    return await dispatch(command, makeContext(command, log, observer));
  } catch (error) {
    log.error(error);
    return FAILURE;
  }
}

async function dispatch(command: Command, context: Context): Promise<number> {
  switch (command.verb) {
    case "create":
      return (await import("./verbs/create.ts")).create(command, context);
    case "start":
      return (await import("./verbs/start.ts")).start(command, context);
    case "run":
      return (await import("./verbs/run.ts")).run(command, context);
    case "state":
      return (await import("./verbs/state.ts")).state(command, context);
    case "kill":
      return (await import("./verbs/kill.ts")).kill(command, context);
    case "delete":
      return (await import("./verbs/delete.ts")).remove(command, context);
    case "list":
      return (await import("./verbs/list.ts")).list(command, context);
    case "features":
      return (await import("./verbs/features.ts")).features(command, context);
  }
}
