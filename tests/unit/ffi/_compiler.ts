import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";

/**
 * Compiles C files into one program and runs it.
 *
 * @param sources file name → text
 * @returns what it prints
 */
export async function compileAndRun(sources: Record<string, string>): Promise<string> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("gcc");
  for (const [name, text] of Object.entries(sources)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  const files = Object.keys(sources).map((name) => `${directory}/${name}`);
  await run(["gcc", "-o", `${directory}/program`, ...files], { check: true });
  return (await run([`${directory}/program`], { check: true })).stdout;
}
