/**
 * `deno task test:vm [NAME…]`: the tests that boot nodes, or some of them. A name is a file of
 * tests/vm or tests/vm/node without `_test.ts`, or the path of any test file, to be run in a node.
 */
import { main as runTests } from "../run.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const root = repositoryDirectory();

async function main(names: string[]): Promise<number> {
  const targets = new Set<string>();
  const inside: string[] = [];
  for (const name of names) {
    const path = [`tests/vm/${name}_test.ts`, `tests/vm/node/${name}_test.ts`, name].find(isFile);
    if (path === undefined) {
      console.error(
        `no such test: ${name}; there are ${known().join(", ")}, and paths of test files`,
      );
      return 2;
    }
    if (path.startsWith("tests/vm/") && !path.startsWith("tests/vm/node/")) targets.add(path);
    else inside.push(path);
  }
  if (inside.length > 0) targets.add("tests/vm/node_test.ts");
  if (inside.length > 0) Deno.env.set("URUNC_VM_FILES", inside.join(" "));
  return await runTests(targets.size > 0 ? [...targets] : ["vm"]);
}

/** The names of the tests that need a node. */
function known(): string[] {
  return ["tests/vm", "tests/vm/node"]
    .flatMap((directory) => [...Deno.readDirSync(`${root}${directory}`)])
    .map(({ name }) => /^(.+)_test\.ts$/.exec(name)?.[1])
    .filter((name) => name !== undefined)
    .sort();
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(`${root}${path}`).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
