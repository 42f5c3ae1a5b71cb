import assert from "node:assert/strict";
import { EARLY_FUNCTIONS } from "../../../lib/build/early_functions.ts";
import { exists } from "../../../lib/os/files.ts";
import { finishEarly, markEarly, recorder } from "../../../lib/build/early.ts";

const CODE = `const table = makeTable();
function makeTable() {
  return [element()];
}
function element() {
  return 1;
}
function called(a, { b }) {
  return later(a) + b;
}
function empty() {
}
async function later(a) {
  await a;
}
function* steps() { yield 1; }
class Some {
}
module.exports = { called, steps };
`;

const mark = (...names: string[]) => finishEarly(markEarly(CODE, (name) => names.includes(name)));

Deno.test("a function that is wanted stands in parentheses, and no other does", () => {
  const code = mark("called");
  assert.match(
    code,
    /^var called = \( +function \(a, \{ b \}\) \{\n {2}return later\(a\) \+ b;\n\}\);$/m,
  );
  assert.deepEqual(code.match(/^var \w+/gm), ["var called"]);
});

Deno.test("functions of every form can be wanted", () => {
  const code = mark("empty", "later", "steps");
  assert.match(code, /^var empty = \( +function \(\) \{\n\}\);$/m);
  assert.match(code, /^var later = \( +async function \(a\) \{\n/m);
  assert.match(code, /^var steps = \( +function\* \(\) \{ yield 1; \}\);$/m);
});

Deno.test("what a module calls while it is loaded stays a declaration, however it comes to that", () => {
  assert.equal(mark("makeTable", "element"), CODE);
});

Deno.test("a function with a template that has a line like its end stays as it is", () => {
  const code = "function toml() {\n  return `{\n}\n`;\n}\nfunction next() {\n}";
  const marked = finishEarly(markEarly(code, () => true));
  assert.equal(
    marked.replace(/var next = \( +function \(\) \{\n\}\);/, "function next() {\n}"),
    code,
  );
  assert.notEqual(marked, code);
});

Deno.test("lines stay where they are", () => {
  const lines = mark("called", "empty", "later", "steps").split("\n");
  assert.equal(lines.length, CODE.split("\n").length);
  assert.match(lines[7]!, /^var called/);
});

Deno.test("a marked module does the same", () => {
  const run = (code: string) => {
    const module = { exports: {} as Record<string, (...values: unknown[]) => unknown> };
    new Function("module", code)(module);
    return [[...module.exports.steps!() as number[]], module.exports.called!.length];
  };
  assert.deepEqual(run(CODE), [[1], 2]);
  assert.deepEqual(run(mark("called", "empty", "later", "steps")), [[1], 2]);
});

Deno.test("a recording program writes down once what it calls", () => {
  const directory = Deno.makeTempDirSync();
  try {
    const code = markEarly("function some(a) {\n  return a + 1;\n}", () => true, "lib/some.ts");
    const result = new Function(
      `${recorder(directory)}${finishEarly(code)}return some(some(1));`,
    )();
    assert.equal(result, 3);
    const [record] = [...Deno.readDirSync(directory)];
    assert.equal(Deno.readTextFileSync(`${directory}/${record!.name}`), "lib/some.ts some\n");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the list of early functions is about this program: otherwise run deno task early", () => {
  const modules = Object.keys(EARLY_FUNCTIONS);
  const root = new URL("../../../", import.meta.url).pathname;
  const gone = modules.filter((it) => it.includes("/") && !exists(`${root}${it}`));
  assert.ok(modules.length > 100, `${modules.length} modules`);
  assert.ok(gone.length < modules.length / 10, gone.join(" "));
});
