/** Builds the program in which steps fail; see errno_main.ts. */
import { cacheDirectory } from "./cache.ts";
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** What a machine runs out of. */
export const SHORTAGES = ["EMFILE", "ENOSPC", "ENOMEM"] as const;

/** The operation of the errors that are injected. */
export const INJECTED = "injected";

/** The executable of tests/support/errno_main.ts, gone with the scope. */
export async function errnoBinary(scope: Scope): Promise<string> {
  const path = `${await cacheDirectory("errno")}/urunc-${Deno.pid}`;
  scope.defer(`remove ${path}`, () => Deno.remove(path));
  const entry = ["--entry", "tests/support/errno_main.ts", "--output", path];
  await run([Deno.execPath(), "run", "-A", "lib/build/compile.ts", ...entry], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 120,
    check: true,
  });
  return path;
}
