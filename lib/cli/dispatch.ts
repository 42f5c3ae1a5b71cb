import { ExecFailedError, UsageError } from "../errors.ts";
import type { Observer } from "../launch/observer.ts";
import type { Command, CommandOf, GlobalOptions } from "./parser/commands.ts";
import { type Context, makeContext } from "./context.ts";
import { FAILURE, USAGE_FAILURE } from "./exit_codes.ts";
import { Logger } from "../log.ts";
import { listen } from "../watch.ts";
import { versionText } from "../version.ts";
import { completion } from "./verbs/completion.ts";
import { config } from "./verbs/config.ts";
import { create } from "./verbs/create.ts";
import { remove } from "./verbs/delete.ts";
import { doctor } from "./verbs/doctor.ts";
import { events } from "./verbs/events.ts";
import { exec } from "./verbs/exec.ts";
import { features } from "./verbs/features.ts";
import { installRuntime, uninstallRuntime } from "./verbs/install.ts";
import { kill } from "./verbs/kill.ts";
import { list } from "./verbs/list.ts";
import { logs } from "./verbs/logs.ts";
import { pause } from "./verbs/pause.ts";
import { ps } from "./verbs/ps.ts";
import { resume } from "./verbs/resume.ts";
import { run } from "./verbs/run.ts";
import { spec } from "./verbs/spec.ts";
import { start } from "./verbs/start.ts";
import { formatState } from "./verbs/state.ts";
import { update } from "./verbs/update.ts";

/**
 * Does what a command says. Errors are formatted and logged here and nowhere below.
 *
 * @returns the exit code
 */
export async function runCommand(
  command: Command,
  observer: Observer,
  commandLine: string[],
): Promise<number> {
  const log = loggerOf(command);
  if (command.debug) {
    listen((message, fields) => log.debug(message, fields));
    log.debug(`${versionText().split("\n", 1)[0]}: ${command.verb}`, { pid: Deno.pid });
  }
  try {
    return await dispatch(command, makeContext(command, log, observer, commandLine));
  } catch (error) {
    return fail(error, command);
  }
}

/**
 * Reports an error where the caller reads it.
 *
 * @returns the exit code
 */
export function fail(error: unknown, options: GlobalOptions): number {
  const log = loggerOf(options);
  if (error instanceof UsageError) {
    log.misuse(error);
    return USAGE_FAILURE;
  }
  log.error(error);
  return error instanceof ExecFailedError ? error.exitCode : FAILURE;
}

function loggerOf(options: GlobalOptions): Logger {
  return new Logger({ file: options.log, format: options.logFormat, debug: options.debug });
}

/** Loaded only where it is asked for: no container waits for it. */
async function kernel(command: CommandOf<"kernel">, context: Context): Promise<number> {
  const { kernel } = await import("./verbs/kernel.ts");
  return await kernel(command, context);
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
      return formatState(command, context);
    case "kill":
      return kill(command, context);
    case "delete":
      return remove(command, context);
    case "list":
      return list(command, context);
    case "ps":
      return ps(command, context);
    case "exec":
      return exec(command, context);
    case "pause":
      return pause(command, context);
    case "resume":
      return resume(command, context);
    case "events":
      return events(command, context);
    case "logs":
      return logs(command, context);
    case "update":
      return update(command, context);
    case "kernel":
      return kernel(command, context);
    case "spec":
      return spec(command);
    case "doctor":
      return doctor(command);
    case "config":
      return config(command);
    case "install":
      return installRuntime(command);
    case "uninstall":
      return uninstallRuntime(command);
    case "completion":
      return completion(command);
    case "features":
      return features(command, context);
  }
}
