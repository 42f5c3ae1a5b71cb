import { formatError, UsageError } from "./errors.ts";
import { hasCreator, runInit } from "./launch/init.ts";
import type { Observer } from "./launch/observer.ts";
import { isShim } from "./os/self.ts";
import { runShim } from "./shim/command/main.ts";
import { runCommandLine } from "./cli/command_line.ts";
import { USAGE_FAILURE } from "./cli/exit_codes.ts";
import { printError } from "./output.ts";

/**
 * Chooses the front end.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runMain(args: string[], observer: Observer): Promise<number> {
  // Many an error is an answer (no such file), and only --debug shows where one came from: V8 compiles
  // all the functions on the stack anew to fill one in.
  if (!args.includes("--debug") && !args.includes("-debug")) Error.stackTraceLimit = 0;
  if (args[0] === "init") return hasCreator() ? runInit(observer) : refuseInit();
  if (isShim()) return await runShim(args, observer);
  return await runCommandLine(args, observer);
}

/** It has no use for people: without a creator there is nothing to perform. */
function refuseInit(): number {
  const error = new UsageError({
    operation: "parse command line",
    subject: "init",
    reason: "only urunc itself calls it, with a socket to the command that makes the container",
    remedy: "urunc create makes a container, urunc --help lists all commands",
  });
  printError(`urunc: ${formatError(error)}\n`);
  return USAGE_FAILURE;
}
