import { formatError, UsageError } from "../errors.ts";
import type { Observer } from "../launch/observer.ts";
import { handOver } from "./ordinary.ts";
import { fail, runCommand } from "./dispatch.ts";
import { FAILURE } from "./exit_codes.ts";
import { helpText } from "./help.ts";
import { specTableText } from "./help_spec.ts";
import { print, printError } from "../output.ts";
import { parseCommandLine, type ParsedCommandLine, parseGlobals } from "./parser/parse.ts";
import { refusal } from "./refused.ts";
import { versionText } from "../version.ts";

/**
 * The command line front end.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runCommandLine(args: string[], observer: Observer): Promise<number> {
  try {
    handOver(args);
  } catch (error) {
    return fail(error, parseGlobals(args));
  }
  let parsed: ParsedCommandLine;
  try {
    parsed = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail(error, parseGlobals(args));
  }
  switch (parsed.kind) {
    case "version":
      return show(versionText());
    case "help":
      return show(
        helpText(parsed.verb) + (parsed.verb === "spec" ? `\n${specTableText()}` : ""),
      );
    case "refused":
      return fail(refusal(parsed.verb), parsed.globals);
    case "command":
      return await runCommand(parsed.command, observer, args);
  }
}

/** Prints what was asked for. A reader that has gone (`urunc help | head`) is not a crash. */
function show(text: string): number {
  try {
    print(text);
    return 0;
  } catch (error) {
    printError(`urunc: ${formatError(error)}\n`);
    return FAILURE;
  }
}
