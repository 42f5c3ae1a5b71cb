import assert from "node:assert/strict";
import { countByRoom, countLines, formatCoverage, parseLcov } from "../../support/coverage.ts";
import { Scope } from "../../support/scope.ts";

Deno.test("lines of code are counted, not types, comments and blank ones", () => {
  const source = [
    "/** What it is.",
    " * More of it. */",
    'import type { A } from "./a.ts";',
    "interface B {",
    "  c: string;",
    "}",
    "",
    "// Why.",
    "export function d(b: B): number {",
    "  return 1; // one",
    "}",
  ].join("\n");
  assert.equal(countLines(source), 3);
});

Deno.test("lcov's records become counts", () => {
  const text = "SF:/a.ts\nDA:1,0\nLH:0\nLF:1\nend_of_record\nSF:/b.ts\nLH:3\nLF:4\nend_of_record\n";
  assert.deepEqual([...parseLcov(text)], [
    ["/a.ts", { lines: 1, executed: 0 }],
    ["/b.ts", { lines: 4, executed: 3 }],
  ]);
});

Deno.test("what is never loaded counts as not executed", async () => {
  await using scope = new Scope();
  const root = `${await scope.temporaryDirectory()}/`;
  await Deno.mkdir(`${root}lib/room/inner`, { recursive: true });
  await Deno.mkdir(`${root}ffi`);
  const three = "export const a = 1;\nexport const b = 2;\nexport const c = 3;\n";
  for (const file of ["main.ts", "lib/top.ts", "lib/room/a.ts", "lib/room/inner/b.ts"]) {
    await Deno.writeTextFile(`${root}${file}`, three);
  }
  await Deno.writeTextFile(`${root}lib/room/native.c`, "int main(void) {}\n");
  const loaded = new Map([[`${root}lib/room/a.ts`, { lines: 3, executed: 3 }]]);
  const rooms = countByRoom(root, loaded);
  assert.deepEqual([...rooms], [
    ["lib/room", { lines: 6, executed: 3 }],
    ["lib", { lines: 3, executed: 0 }],
    ["main.ts", { lines: 3, executed: 0 }],
  ]);
  assert.deepEqual(formatCoverage(rooms), [
    "lib/room  50.0 % of 6 lines",
    "lib        0.0 % of 3 lines",
    "main.ts    0.0 % of 3 lines",
    "coverage by unit tests: 25.0 % of 12 lines",
  ]);
});
