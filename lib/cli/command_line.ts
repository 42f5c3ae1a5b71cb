import { formatError, UsageError } from "../errors.ts";
import type { Observer } from "../launch/observer.ts";
import { handOver } from "./delegate.ts";
import { refuse, runCommand } from "./dispatch.ts";
import { helpText } from "./help.ts";
import { specTableText } from "./help_spec.ts";
import { print, printError } from "./output.ts";
import { parseCommandLine, type ParsedCommandLine } from "./parse.ts";
import { versionText } from "./version.ts";

/** As most command lines: what was asked could not be understood. */
const USAGE_FAILURE = 2;

/**
 * The command line front end.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runCommandLine(args: string[], observer: Observer): Promise<number> {
  handOver(args);
  let parsed: ParsedCommandLine;
  try {
    parsed = parseCommandLine(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    printError(`urunc: ${formatError(error)}\n`);
    return USAGE_FAILURE;
  }
  switch (parsed.kind) {
    case "version":
      print(versionText());
      return 0;
    case "help":
      print(helpText(parsed.verb));
      if (parsed.verb === "spec") print(`\n${specTableText()}`);
      return 0;
    case "refused":
      return refuse(parsed.verb, parsed.globals);
    case "command":
      return await runCommand(parsed.command, observer, args);
  }
}
