/** Nothing but the bundler reads the paths of `preload`: no type check and no lint knows them. */
import assert from "node:assert/strict";
import { dirname, join } from "pathe";

const LIB = new URL("../../../lib", import.meta.url).pathname;

function* sources(directory: string): Generator<string> {
  for (const { name, isDirectory } of Deno.readDirSync(directory)) {
    if (isDirectory) yield* sources(`${directory}/${name}`);
    else if (name.endsWith(".ts")) yield `${directory}/${name}`;
  }
}

Deno.test("every module that is loaded early exists", () => {
  let count = 0;
  for (const file of sources(LIB)) {
    for (const [, path] of Deno.readTextFileSync(file).matchAll(/\bpreload\("([^"]+)"\)/g)) {
      count++;
      assert.ok(Deno.statSync(join(dirname(file), path!)).isFile, `${file}: ${path}`);
    }
  }
  assert.ok(count > 0, "no call of preload was found");
});
