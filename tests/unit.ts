/**
 * `deno task test:unit [NAME…] [--filter TEXT]`, and with `--watch` or `--coverage` the tasks `test:watch`
 * and `coverage`: the unit tests or some of them, at once. Nothing is installed or built, nothing needs
 * root, and nobody looks at what is left on the machine: that does `deno task test`.
 */
import { describeCoverage } from "./support/coverage.ts";
import { DENO_TEST, lockFlags, parseTestArguments } from "./support/deno_test.ts";
import { Scope } from "./support/scope.ts";
import { listTestFiles, selectTests, UnclearTargetError } from "./support/targets.ts";
import { repositoryDirectory } from "./support/urunc.ts";

if (import.meta.main) Deno.exit(await main(Deno.args));

/** @returns the exit code of `deno test`, 1 when there is nothing to run */
async function main(args: string[]): Promise<number> {
  const root = repositoryDirectory();
  try {
    const { targets, filter, flags } = parseTestArguments(args, ["--watch", "--coverage"]);
    const files = selectTests(listTestFiles(root, ["unit"]), targets).get("unit") ?? [];
    const options = filter === undefined ? [] : ["--filter", filter];
    if (flags.includes("--watch")) options.push("--watch");
    if (!flags.includes("--coverage")) return await test(root, options, files);
    await using scope = new Scope();
    const profiles = await scope.temporaryDirectory("coverage");
    const collect = [`--coverage=${profiles}`, "--coverage-raw-data-only"];
    const code = await test(root, [...options, ...collect], files);
    for (const line of await describeCoverage(root, profiles)) console.log(line);
    return code;
  } catch (error) {
    if (!(error instanceof UnclearTargetError)) throw error;
    console.error(error.message);
    return 1;
  }
}

async function test(root: string, options: string[], files: string[]): Promise<number> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...DENO_TEST, ...lockFlags(root), ...options, ...files],
    cwd: root,
  }).spawn();
  return (await child.status).code;
}
