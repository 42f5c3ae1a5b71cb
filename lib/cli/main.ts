import type { Observer } from "../launch/observer.ts";

/**
 * Chooses the front end. Each is loaded on its own: what is not asked for costs no time.
 *
 * @param args the arguments after the program's name
 * @returns the exit code
 */
export async function runMain(args: string[], observer: Observer): Promise<number> {
  if (args[0] === "init") {
    const { runInit } = await import("../launch/init.ts");
    return runInit(observer);
  }
  const { runCommandLine } = await import("./command_line.ts");
  return await runCommandLine(args, observer);
}
