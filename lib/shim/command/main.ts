import { print, printError } from "../../output.ts";
import { formatError, UsageError } from "../../errors.ts";
import type { Observer } from "../../launch/observer.ts";
import { parseShimArguments, type ShimArguments } from "./arguments.ts";

/**
 * The shim front end. containerd reads standard output and standard error as one: nothing is printed
 * but the answer, or else what went wrong.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runShim(args: string[], observer: Observer): Promise<number> {
  try {
    await perform(parseShimArguments(args), args, observer);
    return 0;
  } catch (error) {
    printError(`urunc: ${formatError(error)}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

async function perform(
  args: ShimArguments,
  commandLine: string[],
  observer: Observer,
): Promise<void> {
  switch (args.action) {
    case "start": {
      const { startShim } = await import("./start.ts");
      print(await startShim(args, commandLine));
      return;
    }
    case "daemon": {
      const { runStartedDaemon } = await import("../daemon/daemon.ts");
      return await runStartedDaemon(args, observer);
    }
    case "delete": {
      const { cleanUp } = await import("./delete.ts");
      await Deno.stdout.write(await cleanUp(args));
      return;
    }
    case "version": {
      const { versionText } = await import("../../version.ts");
      print(versionText());
      return;
    }
    case "info": {
      const { runtimeInfo } = await import("./info.ts");
      await Deno.stdout.write(await runtimeInfo());
      return;
    }
  }
}
