/**
 * `deno task test:vm [NAME…]`: the tests that boot nodes, or some of them. A name is a file of
 * tests/vm or tests/vm/node without `_test.ts`, or the path of any test file, to be run in a node.
 */
import { main as runTests } from "../run.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const root = repositoryDirectory();

async function main(names: string[]): Promise<number> {
  const tests = testsByName();
  const targets = new Set<string>();
  const inside: string[] = [];
  for (const name of names) {
    const path = tests.get(name) ?? (isFile(name) ? name : undefined);
    if (path === undefined) {
      const known = [...tests.keys()].sort().join(", ");
      console.error(`no such test: ${name}; there are ${known}, and paths of test files`);
      return 2;
    }
    if (path.startsWith("tests/vm/") && !path.startsWith("tests/vm/node/")) targets.add(path);
    else inside.push(path);
  }
  if (inside.length > 0) targets.add("tests/vm/node_test.ts");
  if (inside.length > 0) Deno.env.set("URUNC_VM_FILES", inside.join(" "));
  return await runTests(targets.size > 0 ? [...targets] : ["vm"]);
}

/** The files of tests that need a node, by their short names. */
function testsByName(): Map<string, string> {
  const tests = new Map<string, string>();
  for (const directory of ["tests/vm", "tests/vm/node"]) {
    for (const { name: file } of Deno.readDirSync(`${root}${directory}`)) {
      const name = /^(.+)_test\.ts$/.exec(file)?.[1];
      if (name !== undefined) tests.set(name, `${directory}/${file}`);
    }
  }
  return tests;
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(`${root}${path}`).isFile;
  } catch {
    return false;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
