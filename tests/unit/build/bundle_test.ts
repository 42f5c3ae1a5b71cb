import assert from "node:assert/strict";
import { HostError } from "../../../lib/errors.ts";
import { bundle } from "../../../lib/build/bundle.ts";
import { runProgram } from "../../../lib/build/loader.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";

const CONSTANTS = { version: "1.2.3", commit: "0123" };

/** Bundles files, of which the first is the entry, runs the bundle and returns what it prints. */
async function output(files: Record<string, string>): Promise<string> {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("bundle");
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
  }
  const { program } = await bundle(`${directory}/${Object.keys(files)[0]}`, CONSTANTS);
  await Deno.writeFile(`${directory}/program`, program);
  // As the loader of the executable does it, but for where the program is read from.
  await Deno.writeTextFile(
    `${directory}/bundled.js`,
    `${runProgram}\nrunProgram(Deno.readFileSync("${directory}/program"), import.meta);`,
  );
  const command = [Deno.execPath(), "run", "-A", "--no-config", `${directory}/bundled.js`];
  return (await run(command, { check: true })).stdout;
}

/** Says when it is loaded. */
const PART = `console.log("loaded"); export const value = 42; export class Part { x = value; }`;

const PROGRAMS: [string, Record<string, string>, string][] = [
  [
    "loads a module when it is used, once",
    {
      "main.ts":
        `import { value } from "./part.ts"; console.log("before"); console.log(value + value);`,
      "part.ts": PART,
    },
    "before\nloaded\n84\n",
  ],
  [
    "does not load what is not used",
    {
      "main.ts":
        `import { value } from "./part.ts"; if (Deno.args.length > 0) console.log(value); console.log("end");`,
      "part.ts": PART,
    },
    "end\n",
  ],
  [
    "finds what is passed on, under another name too",
    {
      "main.ts": `import { a, value as v, Part } from "./all.ts"; console.log(v, a, new Part().x);`,
      "all.ts": `export * from "./part.ts"; export { b as a } from "./b.ts";`,
      "part.ts": PART,
      "b.ts": `const x = "b"; export { x as b };`,
    },
    "loaded\n42 b 42\n",
  ],
  [
    "inherits from what is imported",
    {
      "main.ts":
        `import { Part } from "./part.ts"; class More extends Part { y = 1; } console.log(new More().x, new More() instanceof Part);`,
      "part.ts": PART,
    },
    "loaded\n42 true\n",
  ],
  [
    "loads a namespace when a property of it is read",
    {
      "main.ts":
        `import * as part from "./part.ts"; console.log("before"); { const part = { value: 1 }; console.log(part.value); } console.log(part.value);`,
      "part.ts": PART,
    },
    "before\n1\nloaded\n42\n",
  ],
  [
    "loads ahead of its use what is named, with what that imports itself",
    {
      "main.ts":
        `import { preload } from "./preload.ts"; import { value } from "./part.ts"; preload("./part.ts"); console.log("before", value());`,
      "preload.ts": `export function preload(_module: string) {}`,
      "part.ts": `import { other } from "./other.ts"; import { unused } from "./unused.ts";` +
        `console.log("loaded"); export const value = (it = false) => it ? unused : typeof other;`,
      "other.ts":
        `import { far } from "./far.ts"; console.log("other"); export const other = (it = false) => it && far;`,
      "unused.ts": `console.log("unused"); export const unused = 1;`,
      "far.ts": `console.log("far"); export const far = 1;`,
    },
    "loaded\nother\nunused\nbefore function\n",
  ],
  [
    "loads dynamically",
    {
      "main.ts":
        `import("./part.ts").then(({ value }) => console.log(value)); console.log("before");`,
      "part.ts": PART,
    },
    "before\nloaded\n42\n",
  ],
  [
    "lets modules use one another",
    {
      "main.ts":
        `import { even } from "./even.ts"; export const zero = 0; console.log(even(3), import.meta.main);`,
      "even.ts":
        `import { odd } from "./odd.ts"; export function even(n: number): boolean { return n === 0 || odd(n - 1); }`,
      "odd.ts":
        `import { even } from "./even.ts"; export const odd = (n: number): boolean => n > 0 && even(n - 1);`,
    },
    "false true\n",
  ],
  [
    "bundles a package that deno.json names",
    { "main.ts": `import { parse } from "smol-toml"; console.log(parse("a = 1").a);` },
    "1\n",
  ],
];

for (const [name, files, expected] of PROGRAMS) {
  Deno.test(`a bundle ${name}`, async () => assert.equal(await output(files), expected));
}

const REFUSED: [string, Record<string, string>, RegExp][] = [
  ["a file that is not there", { "main.ts": `import { a } from "./no.ts"; a();` }, /no\.ts/],
  [
    "an export that is not there",
    { "main.ts": `import { b } from "./a.ts"; b();`, "a.ts": "export const a = 1;" },
    /a\.ts: it has no export b/,
  ],
  [
    "a default import",
    { "main.ts": `import a from "./a.ts"; a();`, "a.ts": "export default () => 1;" },
    /main\.ts: it has a form of import or export/,
  ],
];

for (const [what, files, message] of REFUSED) {
  Deno.test(`the bundler refuses ${what}`, async () => {
    await assert.rejects(output(files), (error) => {
      assert.ok(error instanceof HostError);
      assert.match(error.message, message);
      return true;
    });
  });
}

/** Loads every module of a program but the entry, and prints how many that were. */
const LOAD_ALL = `
const program = Deno.readFileSync(Deno.args[0]);
const table = new DataView(program.buffer);
const position = (number) => table.getUint32(4 * number, true);
const modules = [];
const require = (number) => {
  if (modules[number] === undefined) {
    const module = modules[number] = { exports: {} };
    const text = new TextDecoder().decode(program.subarray(position(number), position(number + 1)));
    (0, eval)(text)(module, require, (of) => require(of), require, import.meta);
  }
  return modules[number].exports;
};
const count = position(0) / 4 - 1;
for (let number = 1; number < count; number++) require(number);
console.log(modules.length);
`;

Deno.test("every module of the executable can be loaded, also with functions that are compiled early", async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("bundle");
  const entry = new URL("../../../main.ts", import.meta.url).pathname;
  const { program } = await bundle(entry, CONSTANTS);
  assert.match(new TextDecoder().decode(program), /[;}]var \w+=\( +(?:async )?function/);
  await Deno.writeFile(`${directory}/program`, program);
  await Deno.writeTextFile(`${directory}/load_all.js`, LOAD_ALL);
  const { stdout } = await run([
    Deno.execPath(),
    "run",
    "-A",
    "--no-config",
    `${directory}/load_all.js`,
    `${directory}/program`,
  ], { check: true });
  assert.ok(Number(stdout) > 300, stdout);
});
