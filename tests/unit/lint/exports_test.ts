import assert from "node:assert/strict";
import { findUnusedExports } from "../../lint/exports.ts";

const A = "lib/a.ts";
const NOTHING = [`${A}: it need not be exported: nothing uses it`];
const OWN = [`${A}: it need not be exported: only its own module uses it`];
const TESTS = [`${A}: it need not be exported: only tests use it`];

const cases: {
  what: string;
  a: string;
  others?: Record<string, string>;
  test?: string;
  unused: string[];
}[] = [
  { what: "an export that nothing uses", a: "export const it = 1;", unused: NOTHING },
  {
    what: "one that only comments name",
    a: "/** it */\nexport function it() {}\n// it\n",
    others: { "lib/b.ts": "// it\n" },
    unused: NOTHING,
  },
  {
    what: "one whose name another module has for something else",
    a: "export async function it() {}",
    others: { "lib/b.ts": "const it = 1;\nconsole.log(it);" },
    unused: NOTHING,
  },
  {
    what: "one whose name is a property in its own module",
    a: "export function it() {\n  return unistd.it();\n}",
    unused: NOTHING,
  },
  {
    what: "one that another module passes on, and nothing imports from there",
    a: "export const it = 1;",
    others: {
      "lib/b.ts": 'export * from "./a.ts";',
      "lib/c.ts": 'export {\n  it,\n} from "./a.ts";',
    },
    unused: NOTHING,
  },
  { what: "one for its own module", a: "export const it = 1;\nit + 1;", unused: OWN },
  {
    what: "one for tests",
    a: "export const it = 1;",
    test: 'import { it } from "../lib/a.ts";',
    unused: TESTS,
  },
  {
    what: "an import",
    a: "export const it = 1;",
    others: { "main.ts": 'import { it } from "./lib/a.ts";' },
    unused: [],
  },
  {
    what: "an import under another name, on lines of its own",
    a: "export abstract class it {}",
    others: { "main.ts": 'import {\n  b,\n  type it as c,\n} from "./lib/a.ts";' },
    unused: [],
  },
  {
    what: "an import of what is passed on, twice, under another name",
    a: "export const it = 1;",
    others: {
      "lib/b.ts": 'export { it as that } from "./a.ts";',
      "lib/c.ts": 'export * from "./b.ts";',
      "main.ts": 'import { that } from "./lib/c.ts";',
    },
    unused: [],
  },
  {
    what: "an import when it is needed",
    a: "export const it = 1;",
    others: { "main.ts": 'const { it } = await import("./lib/a.ts");' },
    unused: [],
  },
  {
    what: "an import of the whole module",
    a: "export const it = 1;",
    others: { "main.ts": 'import * as a from "./lib/a.ts";\na.it;' },
    unused: [],
  },
  {
    what: "a test of what its own module uses",
    a: "export const it = 1;\nit + 1;",
    test: 'import { it } from "../lib/a.ts";',
    unused: [],
  },
  {
    what: "a type of its own module's",
    a: "export interface it {}\nfunction f(): it {}",
    unused: [],
  },
  { what: "a type that nothing uses", a: "export type it = number;", unused: NOTHING },
  {
    what: "a type and a value of one name",
    a: "export const it = 1;\nexport type it = number;",
    unused: OWN,
  },
];

for (const { what, a, others = {}, test, unused } of cases) {
  Deno.test(`unused exports: ${what}`, () => {
    const product = new Map(Object.entries({ [A]: a, ...others }));
    const tests = new Map(test === undefined ? [] : [["tests/a_test.ts", test]]);
    assert.deepEqual(findUnusedExports(product, tests), unused);
  });
}
