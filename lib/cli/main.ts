import { runInit } from "../launch/init.ts";
import type { Observer } from "../launch/observer.ts";
import { isShim } from "../self.ts";
import { runShim } from "../shim/main.ts";
import { runCommandLine } from "./command_line.ts";

/**
 * Chooses the front end.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runMain(args: string[], observer: Observer): Promise<number> {
  // Many an error is an answer (no such file), and only --debug shows where one came from: V8 compiles
  // all the functions on the stack anew to tell.
  if (!args.includes("--debug")) Error.stackTraceLimit = 0;
  if (args[0] === "init") return runInit(observer);
  if (isShim()) return await runShim(args, observer);
  return await runCommandLine(args, observer);
}
