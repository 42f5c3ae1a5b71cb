/** Builds the program that leaves steps out; see without_main.ts. */
import { run } from "./process.ts";
import type { Scope } from "./scope.ts";
import { repositoryDirectory } from "./urunc.ts";

/**
 * The executable of tests/support/without_main.ts.
 *
 * @returns its absolute path, gone with the scope
 */
export async function withoutBinary(scope: Scope): Promise<string> {
  const output = `${await scope.temporaryDirectory("without")}/urunc`;
  const entry = "tests/support/without_main.ts";
  const script = ["lib/build/compile.ts", "--entry", entry, "--output", output];
  await run([Deno.execPath(), "run", "-A", ...script], {
    cwd: repositoryDirectory(),
    timeoutSeconds: 120,
    check: true,
  });
  return output;
}
