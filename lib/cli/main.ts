import { formatError, UsageError } from "../errors.ts";
import { runInit } from "../launch/init.ts";
import type { Observer } from "../launch/observer.ts";
import type { Command } from "./commands.ts";
import { makeContext } from "./context.ts";
import { helpText } from "./help.ts";
import { Logger } from "./log.ts";
import { print } from "./output.ts";
import { parseCommandLine } from "./parse.ts";
import { create } from "./verbs/create.ts";
import { remove } from "./verbs/delete.ts";
import { features } from "./verbs/features.ts";
import { kill } from "./verbs/kill.ts";
import { list } from "./verbs/list.ts";
import { run } from "./verbs/run.ts";
import { start } from "./verbs/start.ts";
import { state } from "./verbs/state.ts";
import { versionText } from "./version.ts";
import type { Context } from "./context.ts";

/** As runc: anything that went wrong is 1. */
const FAILURE = 1;
/** As most command lines: what was asked could not be understood. */
const USAGE_FAILURE = 2;

/**
 * The command line front end.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runMain(args: string[], observer: Observer): Promise<number> {
  // Before any parser is built: init is called by ourselves, and its start-up is everyone's wait.
  if (args[0] === "init") return runInit(observer);

  let command: Command;
  try {
    const parsed = parseCommandLine(args);
    if (parsed.kind !== "command") {
      print(parsed.kind === "version" ? versionText() : helpText(parsed.verb));
      return 0;
    }
    command = parsed.command;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    Deno.stderr.writeSync(new TextEncoder().encode(`urunc: ${formatError(error)}\n`));
    return USAGE_FAILURE;
  }

  const log = new Logger({ file: command.log, format: command.logFormat, debug: command.debug });
  try {
    return await dispatch(command, makeContext(command, log, observer));
  } catch (error) {
    log.error(error);
    return FAILURE;
  }
}

function dispatch(command: Command, context: Context): Promise<number> | number {
  switch (command.verb) {
    case "create":
      return create(command, context);
    case "start":
      return start(command, context);
    case "run":
      return run(command, context);
    case "state":
      return state(command, context);
    case "kill":
      return kill(command, context);
    case "delete":
      return remove(command, context);
    case "list":
      return list(command, context);
    case "features":
      return features(command, context);
  }
}
