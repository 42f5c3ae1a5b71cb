import assert from "node:assert/strict";
import * as esbuild from "esbuild";
import { lineTable, takeSourceMap, traceTable } from "../../../lib/build/source_map.ts";
import { translateStack } from "../../../lib/os/stack.ts";

Deno.test("a line table says where another line of the source begins", () => {
  const cases: [mappings: string, expected: number[][]][] = [
    ["", []],
    ["AAAA", [[0, 0, 0]]],
    ["AAAA,IAAI,IACJ", [[0, 0, 0], [0, 8, 1]]],
    ["AAAA;;AACA,gCAiCAA", [[0, 0, 0], [2, 0, 1], [2, 32, 34]]],
    // Back to an earlier line, and text that came from nowhere.
    ["AAGA,C,EADA", [[0, 0, 3], [0, 3, 2]]],
  ];
  for (const [mappings, expected] of cases) {
    assert.deepEqual(lineTable({ mappings, names: [] }), expected);
  }
});

Deno.test("a table in the executable counts from entry to entry, with what stands before", () => {
  // Columns 3 and 9 of the first line, column 1 of the third.
  const mapped = { code: "", mappings: "GAKA,MADA;;CAGA", names: [] };
  assert.deepEqual(traceTable(mapped, 10).lines, [
    ...[0, 13, 5],
    ...[0, 6, -1],
    ...[2, -18, 3],
  ]);
});

Deno.test("an empty text has a source map, too", () => {
  const { code } = esbuild.transformSync("", { sourcemap: "inline", minify: true });
  assert.equal(takeSourceMap(code).code, "");
});

const SOURCE = `// A comment.
export function outer(argument: number): number {
  const doubled = 2 * argument;

  return new Inner().method(doubled);
}

class Inner {
  readonly #arrow = (value: number) => helper(value);

  method(value: number): number {
    return this.#arrow(value);
  }
}

const helper = (value: number): number => {
  const other = [1].map(function unused(it) { return it; });
  return last(value + other.length);
};

function last(value: number): number {
  throw new Error(\`of \${value}\`);
}
`;

Deno.test("a stack trace is given the names and lines of the sources", () => {
  // As the bundler does it, and the loader of the executable.
  const { code, ...map } = takeSourceMap(
    esbuild.transformSync(SOURCE, {
      loader: "ts",
      minify: true,
      sourcemap: "inline",
      format: "cjs",
    }).code,
  );
  const head = "(function(module){";
  const text = `${head}${code};return module.exports})\n//# sourceURL=urunc/lib/a.ts`;
  assert.doesNotMatch(text, /doubled|helper|Inner/);
  const { outer } = (0, eval)(text)({ exports: {} });
  let stack = "";
  try {
    outer(1);
  } catch (error) {
    stack = (error as Error).stack!;
  }
  const tables = { "lib/a.ts": traceTable({ code, ...map }, head.length) };
  const calls = translateStack(stack, tables).split("\n").slice(1, 6);
  assert.deepEqual(calls, [
    "    at last (lib/a.ts:22)",
    "    at helper (lib/a.ts:18)",
    "    at Inner.#arrow (lib/a.ts:9)",
    "    at Inner.method (lib/a.ts:12)",
    "    at outer (lib/a.ts:5)",
  ]);
});

Deno.test("what a stack trace says of other modules stays, without the loader's own calls", () => {
  const stack = "Error: x\n    at f (urunc/lib/b.ts, <anonymous>:1:2)\n" +
    "    at async new a (urunc/lib/a.ts, <anonymous>:1:7)\n" +
    "    at urunc/lib/a.ts:1:5\n    at n (file:///proc/self/fd/3:1:621)";
  const names: [number, number, string, string][] = [[0, 4, "a", "Right"], [0, 8, "a", "Later"]];
  assert.equal(
    translateStack(stack, { "lib/a.ts": { lines: [0, 2, 6], names } }),
    "Error: x\n    at f (urunc/lib/b.ts, <anonymous>:1:2)\n" +
      "    at async new Right (lib/a.ts:7)\n    at lib/a.ts:7",
  );
});
