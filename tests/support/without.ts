/** Builds executables whose main module is a test's. */
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/** The executable that leaves steps out: see without_main.ts. */
export function withoutBinary(scope: Scope): Promise<string> {
  return entryBinary(scope, "tests/support/without_main.ts");
}

/**
 * The executable of another main module, which everyone may run.
 *
 * @param entry in the repository
 * @returns its absolute path, gone with the scope
 */
export async function entryBinary(scope: Scope, entry: string): Promise<string> {
  const output = `${await scope.temporaryDirectory("entry")}/urunc`;
  const script = ["lib/build/compile.ts", "--entry", entry, "--output", output];
  await run([Deno.execPath(), "run", "-A", ...script], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 120,
    check: true,
  });
  return output;
}
