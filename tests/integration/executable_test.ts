/**
 * The linked executable from outside: a small program is linked once, then started in every way that
 * could go wrong.
 */
import assert from "node:assert/strict";
import { bundle, bundleModules } from "../../lib/build/bundle.ts";
import { writeExecutable } from "../../lib/build/executable.ts";
import { inspectBundle } from "../support/bundle_uses.ts";
import { run } from "../support/process.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { repositoryDirectory } from "../support/urunc.ts";
import { CHECKS, CONSTANTS } from "./executable_checks.ts";
import { RUN_PREFIX } from "../support/mark.ts";

const PROBE = new URL("executable_probe.ts", import.meta.url).pathname;

let directory: string | undefined;
let linked: Promise<string> | undefined;

/** Links the probe, once for all checks. */
function linkedProbe(): Promise<string> {
  return linked ??= linkProbe();
}

async function linkProbe(): Promise<string> {
  directory = await Deno.makeTempDir({ prefix: `${RUN_PREFIX}executable-` });
  await Deno.chmod(directory, 0o755);
  const path = `${directory}/probe`;
  await writeExecutable(await bundle(PROBE, CONSTANTS), path);
  return path;
}

Deno.test.afterAll(async () => {
  if (directory !== undefined) await Deno.remove(directory, { recursive: true });
});

for (const check of CHECKS) {
  testIf(`the executable ${check.name}`, { needs: check.needs }, async () => {
    await using scope = new Scope();
    const directory = await scope.temporaryDirectory("executable");
    const probe = `${directory}/probe`;
    // A link, because the file has 95 MB.
    await Deno.link(await linkedProbe(), probe);
    await check.fn({ directory, probe });
  });
}

Deno.test("the same sources give the same bundle, wherever they lie", async () => {
  await using scope = new Scope();
  const bundles = await Promise.all(["one", "two"].map(async (name) => {
    const directory = await scope.temporaryDirectory(name);
    await Deno.writeTextFile(`${directory}/part.ts`, "export const part: number = 6 * 7;\n");
    await Deno.writeTextFile(
      `${directory}/main.ts`,
      `import { part } from "./part.ts"; console.log(part, import.meta.url);\n`,
    );
    return await bundle(`${directory}/main.ts`, CONSTANTS);
  }));
  assert.deepEqual(bundles[0], bundles[1]);
});

Deno.test("what only tests may do is absent from the bundle", async () => {
  await using scope = new Scope();
  const entry = `${await scope.temporaryDirectory("entry")}/main.ts`;
  await Deno.writeTextFile(
    entry,
    `declare const URUNC_SHIPPED: true | undefined;
     if (typeof URUNC_SHIPPED === "undefined") console.log("only in tests");
     console.log("everywhere");`,
  );
  const text = new TextDecoder().decode((await bundle(entry, CONSTANTS)).program);
  assert.match(text, /everywhere/);
  assert.doesNotMatch(text, /only in tests/);
});

Deno.test("an inspected bundle shows its imports and its use of process", () => {
  const inspect = (text: string) => inspectBundle(new TextEncoder().encode(text));
  assert.deepEqual(inspect(`console.log({ process: 1 }.process, "node:fs process.env")`), {
    imports: [],
    process: false,
  });
  assert.deepEqual(inspect(`import fs from "node:fs"; export default fs;`), {
    imports: ["node:fs"],
    process: false,
  });
  for (const text of ["typeof process", "process.env.X", "globalThis.process"]) {
    assert.equal((inspect(`console.log(${text})`)).process, true, text);
  }
});

Deno.test("the shipped bundle imports nothing and does not touch process", async () => {
  const main = `${repositoryDirectory()}main.ts`;
  const { loader } = await bundle(main, CONSTANTS);
  assert.deepEqual(inspectBundle(loader), { imports: [], process: false });
  const modules = await bundleModules(main, CONSTANTS);
  assert.ok(modules.some(({ name }) => name === "lib/launch/steps/exec.ts"));
  for (const { name, code } of modules) {
    // What a module requires is another one: a number.
    const { imports, process } = inspectBundle(new TextEncoder().encode(code));
    assert.deepEqual({ name, imports, process }, { name, imports: [], process: false });
  }
});

Deno.test("the compile task writes the file in one step, the same every time", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("compile");
  const output = `${directory}/out`;
  const compile = async (...args: string[]) =>
    await run([Deno.execPath(), "run", "-A", "lib/build/compile.ts", ...args], {
      cwd: repositoryDirectory(),
    });
  const digests = [];
  for (let round = 0; round < 2; round++) {
    const result = await compile("--entry", PROBE, "--output", output);
    assert.equal(result.code, 0, result.stderr);
    digests.push((await run(["sha256sum", output], { check: true })).stdout);
  }
  assert.equal(digests[0], digests[1]);
  assert.equal(((await Deno.stat(output)).mode ?? 0) & 0o7777, 0o755);
  assert.deepEqual([...Deno.readDirSync(directory)].map((it) => it.name), ["out"]);

  const usage = await compile("--nonsense");
  assert.deepEqual([usage.code, usage.stdout], [1, ""]);
  assert.match(usage.stderr, /compile --nonsense: .*--output PATH/);
});
