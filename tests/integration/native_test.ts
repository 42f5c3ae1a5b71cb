/** Committed machine code is compared with its source: what `deno task native --check` finds. */
import assert from "node:assert/strict";
import { compileNative, describeDifference, readCommitted } from "../../lib/build/native/native.ts";
import { NATIVE_PROGRAMS } from "../../lib/build/native/programs.ts";
import { HostError } from "../../lib/errors.ts";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const ROOT = repositoryDirectory();

for (const program of NATIVE_PROGRAMS) {
  const needs = [program.compiler.program];
  testIf(`${program.name}: the committed bytes are what its source compiles to`, {
    needs,
  }, async () => {
    const built = await compileNative(program, ROOT);
    assert.equal(describeDifference(built, await readCommitted(program, ROOT)), undefined);
  });

  testIf(`${program.name}: a changed source is noticed, wherever the repository is`, {
    needs,
  }, async () => {
    await using scope = new Scope();
    const copy = await scope.temporaryDirectory("native");
    // One includes files of another.
    for (const { directory } of NATIVE_PROGRAMS) {
      await copyFiles(`${ROOT}/${directory}`, `${copy}/${directory}`);
    }
    const committed = await readCommitted(program, ROOT);
    assert.deepEqual(await compileNative(program, copy), committed);

    const source = `${copy}/${program.directory}/${program.sources.at(-1)}`;
    await Deno.writeTextFile(source, CHANGE, { append: true });
    assert.match(describeDifference(await compileNative(program, copy), committed)!, /differ/);
  });
}

/** One more function, which nothing may remove. */
const CHANGE = "\n__attribute__((used, retain)) int added(int x) { return x + 1; }\n";

async function copyFiles(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const { name, isFile } of Deno.readDirSync(from)) {
    if (isFile) await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

Deno.test("a compiler that is not installed is an error that names its packages", async () => {
  const [program] = NATIVE_PROGRAMS;
  const compiler = { program: "urunc-test-no-compiler", packages: ["a-package"] };
  await assert.rejects(compileNative({ ...program!, compiler }, ROOT), (error) => {
    assert.ok(error instanceof HostError);
    assert.match(error.message, /urunc-test-no-compiler.*apt-get install a-package/);
    return true;
  });
});

Deno.test("bytes of another length or content are a difference", () => {
  const bytes = Uint8Array.of(1, 2, 3);
  assert.equal(describeDifference(bytes, Uint8Array.of(1, 2, 3)), undefined);
  const cases: [number[], RegExp][] = [[[], /byte 0 on/], [[1, 2], /byte 2/], [
    [1, 2, 3, 4],
    /byte 3/,
  ], [
    [1, 0, 3],
    /byte 1/,
  ]];
  for (const [other, at] of cases) {
    assert.match(describeDifference(bytes, Uint8Array.from(other))!, at);
  }
});
