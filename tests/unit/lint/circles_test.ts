import assert from "node:assert/strict";
import { findCircles, type ImportGraph } from "../../lint/circles.ts";

const cases: [what: string, graph: [string, string[]][], circles: string[][]][] = [
  ["a line", [["a", ["b"]], ["b", ["c"]], ["c", []]], []],
  ["a diamond", [["a", ["b", "c"]], ["b", ["d"]], ["c", ["d"]], ["d", []]], []],
  ["two modules", [["a", ["b"]], ["b", ["a"]]], [["a", "b", "a"]]],
  ["a module that imports itself", [["a", ["a"]]], [["a", "a"]]],
  ["a circle behind a line", [["a", ["b"]], ["b", ["c"]], ["c", ["d"]], ["d", ["b"]]], [
    ["b", "c", "d", "b"],
  ]],
  ["two circles", [["a", ["b"]], ["b", ["a", "c"]], ["c", ["d"]], ["d", ["c"]]], [
    ["a", "b", "a"],
    ["c", "d", "c"],
  ]],
  ["a module outside the graph", [["a", ["npm:yaml"]]], []],
];

for (const [what, graph, circles] of cases) {
  Deno.test(`circles of imports: ${what}`, () => {
    assert.deepEqual(findCircles(new Map(graph) as ImportGraph), circles);
  });
}
