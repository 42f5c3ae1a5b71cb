import { cacheDirectory } from "./cache.ts";
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** What tests/support/fault_main.ts writes when it has reached the chosen step. */
export const FAULT_MARK = "fault reached\n";

/** How long it then stays there. */
export const FAULT_PAUSE_MILLISECONDS = 300;

/** Builds the executable with the switch, for the time of the scope. */
export async function faultBinary(scope: Scope): Promise<string> {
  const path = `${await cacheDirectory("fault")}/urunc-${Deno.pid}`;
  scope.defer(`remove ${path}`, () => Deno.remove(path));
  await run([
    Deno.execPath(),
    "run",
    "-A",
    "lib/build/compile.ts",
    "--entry",
    "tests/support/fault_main.ts",
    "--output",
    path,
  ], { cwd: repositoryDirectory(), timeoutSeconds: 120, check: true });
  return path;
}
