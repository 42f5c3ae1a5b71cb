import assert from "node:assert/strict";
import { HostError } from "../../../lib/errors.ts";
import { findLibraries } from "../../../lib/host/libraries.ts";
import { readInterpreter } from "../../../lib/host/interpreter.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

const NEEDS = { needs: ["gcc"] };

/** A program with a library of its own, in a directory that only its own header names. */
async function build(
  scope: Scope,
): Promise<{ directory: string; binary: string; library: string }> {
  const directory = await Deno.realPath(await scope.temporaryDirectory("libraries"));
  await Deno.mkdir(`${directory}/own`);
  const library = `${directory}/own/libown.so`;
  const source = (name: string, text: string) => Deno.writeTextFile(`${directory}/${name}.c`, text);
  await source("own", "int own(void) { return 0; }");
  await source("main", "int own(void); int main(void) { return own(); }");
  await run(["gcc", "-shared", "-fPIC", `${directory}/own.c`, "-o", library], { check: true });
  const binary = `${directory}/main`;
  const flags = ["-Wl,-rpath,$ORIGIN/bin/../own", `-L${directory}/own`];
  await Deno.mkdir(`${directory}/bin`);
  await run(["gcc", `${directory}/main.c`, ...flags, "-lown", "-o", binary], { check: true });
  return { directory, binary, library };
}

testIf(
  "a program's libraries are those that the dynamic linker loads, and itself",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const { directory, binary, library } = await build(scope);
    const files = findLibraries(binary, [`${directory}/missing.so`], `${directory}/cache`);
    assert.ok(files.includes(library), `${files}`);
    assert.ok(files.includes(readInterpreter(binary)!), `${files}`);
    assert.ok(files.some((path) => /\/libc\.so\.\d+$/.test(path)), `${files}`);
    // What only the linker's cache names is found in the clean room by that.
    assert.ok(files.length < 10, `${files}`);
    for (const path of files) assert.ok(Deno.statSync(path).isFile, path);
  },
);

testIf(
  "libraries are looked for once, until the program or a directory of them changes",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const { directory, binary, library } = await build(scope);
    const cache = `${directory}/cache`;
    const find = () => findLibraries(binary, [], cache);
    const first = find();
    const [entry] = [...Deno.readDirSync(cache)];
    assert.equal([...Deno.readDirSync(cache)].length, 1);
    assert.equal(Deno.statSync(cache).mode! & 0o777, 0o700);
    const path = `${cache}/${entry!.name}`;
    const kept = JSON.parse(Deno.readTextFileSync(path));
    const marked = [...first, "/kept"];
    Deno.writeTextFileSync(path, JSON.stringify({ ...kept, files: marked }));
    assert.deepEqual(find(), marked);
    const changes: [what: string, change: () => void][] = [
      ["the program", () => Deno.utimeSync(binary, new Date(), new Date(1000))],
      ["a library's directory", () => Deno.writeTextFileSync(`${directory}/own/other`, "")],
      [
        "another format",
        () => Deno.writeTextFileSync(path, JSON.stringify({ ...kept, version: 0 })),
      ],
      ["a damaged file", () => Deno.writeTextFileSync(path, "{")],
    ];
    for (const [what, change] of changes) {
      const { stamps } = JSON.parse(Deno.readTextFileSync(path));
      Deno.writeTextFileSync(path, JSON.stringify({ ...kept, stamps, files: marked }));
      change();
      assert.deepEqual(find(), first, what);
    }
    Deno.removeSync(library);
    assert.throws(
      find,
      (error) => error instanceof HostError && /libraries: libown\.so: cannot/.test(error.message),
    );
  },
);

testIf(
  "a program that is linked statically needs none, and what is not a program is refused",
  NEEDS,
  async () => {
    await using scope = new Scope();
    const { directory } = await build(scope);
    const program = `${directory}/static`;
    await Deno.writeTextFile(`${directory}/s.c`, "int main(void) { return 0; }");
    await run(["gcc", "-static", `${directory}/s.c`, "-o", program], { check: true });
    assert.deepEqual(findLibraries(program, [], `${directory}/cache`), []);
    assert.throws(
      () => findLibraries(`${directory}/s.c`, [], `${directory}/cache`),
      /s\.c: it is not a program .*a script cannot run/,
    );
    // A cache that cannot be made is no reason to fail.
    assert.ok(findLibraries(`${directory}/main`, [], `${program}/cache`).length > 2);
  },
);
