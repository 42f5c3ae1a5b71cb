/** README, docs and the other documents: what can be seen to be right without running anything. */
import assert from "node:assert/strict";
import { parse as parseToml } from "smol-toml";
import { parseDocument } from "yaml";
import { configurationKeys, configurationTables, monitorKeys } from "../../lib/config/keys.ts";
import { parseConfiguration } from "../../lib/config/parse.ts";
import { keys as imageKeys } from "../../lib/guest/keys.ts";
import { parseUnikernel } from "../../lib/guest/parse.ts";
import { parseSpec } from "../../lib/oci/parse.ts";
import { supportedMonitors as monitors } from "../../lib/monitor/registry.ts";
import {
  anchorsOf,
  type Block,
  blocksOf,
  isOutput,
  linksOf,
  readDocuments,
  RUN_DOCUMENTS,
} from "../support/documents.ts";
import { parseManifests, validateManifest } from "../support/manifests.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const root = repositoryDirectory();
const documents = readDocuments(root);

/** How the blocks of a language are judged. A language that is not here has no business there. */
const JUDGES: Record<string, (block: Block) => void | Promise<void>> = {
  sh: ({ document, mark }) => {
    const isRun = (RUN_DOCUMENTS as readonly string[]).includes(document);
    assert.ok(isRun || mark?.kind === "skip", "no test runs it, and no comment says why");
  },
  json: ({ text }) => judgeJson(JSON.parse(text)),
  toml: ({ text }) => judgeToml(text),
  yaml: ({ text }) => parseManifests(text).forEach(validateManifest),
  dockerfile: ({ mark }) => assert.equal(mark?.kind, "file", "nothing builds it"),
  c: ({ mark }) => assert.equal(mark?.kind, "file", "nothing compiles it"),
  // Pictures, and what commands print.
  text: () => {},
};

// deno-lint-ignore no-explicit-any -- as it comes from JSON
function judgeJson(json: any): void {
  if ("runtimes" in json) {
    for (const runtime of Object.values<Record<string, unknown>>(json.runtimes)) {
      assert.ok("path" in runtime !== "runtimeType" in runtime, "docker takes one of both");
    }
  } else if ("ociVersion" in json) {
    parseSpec(JSON.stringify(json));
  } else {
    parseUnikernel({ annotations: {}, uruncJson: JSON.stringify(json), monitors });
  }
}

/** Tables at the top of other programs' configurations. */
const OTHERS = ["plugins", "crio"];

async function judgeToml(text: string): Promise<void> {
  const document = parseToml(text);
  if (OTHERS.some((key) => key in document)) return;
  await parseConfiguration(text);
}

for (const [document, text] of documents) {
  Deno.test(`${document}: every block is of a kind that a test knows, and well formed`, async () => {
    for (const block of blocksOf(document, text)) {
      const where = `${document}:${block.line}`;
      const judge = JUDGES[block.language];
      assert.ok(judge, `${where}: nothing knows the language "${block.language}"`);
      try {
        await judge(block);
        if (block.mark?.kind === "file") requireSame(block.mark.path, block.text);
      } catch (cause) {
        throw new Error(`${where}: ${cause instanceof Error ? cause.message : cause}`, { cause });
      }
    }
  });

  Deno.test(`${document}: links lead somewhere`, () => {
    for (const link of linksOf(text)) {
      const [path = "", anchor] = link.split("#");
      const target = path === ""
        ? document
        : new URL(path, `file:///${document}`).pathname.slice(1);
      Deno.statSync(`${root}${target}`);
      if (anchor === undefined) continue;
      assert.ok(anchorsOf(documents.get(target)!).includes(anchor), `${link}: no such heading`);
    }
  });

  Deno.test(`${document}: tasks that it names exist`, async () => {
    const { default: { tasks } } = await import("../../deno.json", { with: { type: "json" } });
    const named = [...text.matchAll(/\bdeno(?:@[\d.]+)? task ([\w:]+)/g)].map(([, name]) => name!);
    const unknown = named.filter((name) => !Object.hasOwn(tasks, name));
    assert.deepEqual(unknown, []);
  });
}

/** Documents that say where things are. */
const MAPS = ["ARCHITECTURE.md", "CONTRIBUTING.md"];

/** `a/{b,c}.ts` is `a/b.ts` and `a/c.ts`. */
function expand(path: string): string[] {
  const [, before, list, after] = /^(.*)\{(.*)\}(.*)$/.exec(path) ?? [];
  return list === undefined ? [path] : list.split(",").map((it) => `${before}${it}${after}`);
}

for (const document of MAPS) {
  Deno.test(`${document}: the files and directories that it names exist`, () => {
    // In capitals stands what the reader chooses.
    const paths = [
      ...documents.get(document)!.matchAll(/`((?:ffi|lib|tests|fixtures|docs)\/[^`\s]*)`/g),
    ]
      .flatMap(([, path]) => expand(path!)).filter((path) => !/[A-Z]{2}/.test(path));
    assert.ok(paths.length > 10);
    for (const path of paths) Deno.statSync(`${root}${path}`);
  });
}

Deno.test("docs/security.md: every known attack has a test", () => {
  const [, section] = documents.get("docs/security.md")!.split("## Known attacks");
  const [tables] = section!.split("\n## ");
  const rows = tables!.split("\n").filter((line) => /^\| (?!-|attack )/.test(line));
  assert.ok(rows.length >= 30, `${rows.length} rows`);
  // That the files are there, the test of links looks.
  const without = rows.filter((row) => !/\]\(\.\.\/tests\/[^)]*_test\.ts\)/.test(row));
  assert.deepEqual(without, []);
});

Deno.test("ARCHITECTURE.md has every room", () => {
  const text = documents.get("ARCHITECTURE.md")!;
  const rooms = [...Deno.readDirSync(`${root}lib`)].map(({ name }) => `lib/${name}`);
  assert.deepEqual(rooms.filter((room) => !text.includes(`\`${room}\``)), []);
});

/** What a document shows of a file of the repository is what that has. */
function requireSame(path: string, text: string): void {
  if (path.startsWith("/")) return;
  let file: string;
  try {
    file = Deno.readTextFileSync(`${root}${path}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  assert.equal(text, file, `it is not what ${path} has`);
}

Deno.test("the README has at most 700 words", () => {
  const words = documents.get("README.md")!.split(/\s+/).filter(Boolean);
  assert.ok(words.length <= 700, `${words.length} words`);
});

Deno.test("the README leads to every document", () => {
  const links = linksOf(documents.get("README.md")!);
  const missing = [...documents.keys()].filter((it) => it !== "README.md" && !links.includes(it));
  assert.deepEqual(missing, []);
});

Deno.test("docs/configuration.md has every key", () => {
  const text = documents.get("docs/configuration.md")!;
  const monitors = Object.keys(monitorKeys).map((key) => `monitors.NAME.${key}`);
  const tables = Object.entries(configurationTables).flatMap(([table, specs]) =>
    Object.keys(specs).map((key) => `${table}.${key}`)
  );
  const keys = [...Object.keys(configurationKeys), ...tables, ...monitors];
  assert.deepEqual(keys.filter((key) => !text.includes(`\`${key}\``)), []);
});

Deno.test("docs/images.md has every key", () => {
  const text = documents.get("docs/images.md")!;
  assert.deepEqual(imageKeys.filter((key) => !text.includes(`\`${key}\``)), []);
});

Deno.test("every document that is run has commands", () => {
  for (const document of RUN_DOCUMENTS) {
    const blocks = blocksOf(document, documents.get(document)!);
    assert.ok(blocks.some(({ language, mark }) => language === "sh" && mark?.kind !== "skip"));
  }
});

Deno.test("the Justfile has the tasks of deno.json", async () => {
  const { default: { tasks } } = await import("../../deno.json", { with: { type: "json" } });
  const recipes = [
    ...Deno.readTextFileSync(`${root}Justfile`).matchAll(/^ +\{\{deno\}\} task (\S+)/gm),
  ];
  assert.deepEqual(recipes.map(([, name]) => name).sort(), Object.keys(tasks).sort());
});

Deno.test("marks, outputs and anchors are read as documents mean them", () => {
  const fence = "```";
  const [first, second] = blocksOf(
    "x.md",
    `<!-- skip: slow -->\n\n${fence}sh\nsleep 9\n${fence}\n\ntext\n\n${fence}sh\ntrue\n${fence}\n`,
  );
  assert.deepEqual(first?.mark, { kind: "skip", reason: "slow" });
  assert.deepEqual([second?.mark, second?.text, second?.line], [undefined, "true\n", 9]);
  assert.throws(() => blocksOf("x.md", "<!-- skip -->"), /x\.md:1: there is no such mark: skip/);
  assert.throws(() => blocksOf("x.md", "<!-- exit x -->"), /no such mark/);
  assert.throws(() => blocksOf("x.md", `${fence}sh\n`), /x\.md:1: the block is not closed/);
  assert.ok(isOutput("a  b\nc\n", "a b c"));
  assert.ok(isOutput("noise a 12 b", "…a … b"));
  assert.ok(!isOutput("noise a", "a"));
  assert.deepEqual(anchorsOf("# A `b` (c)\n## D: e-f\n"), ["a-b-c", "d-e-f"]);
});

Deno.test("the workflows and forms of .github are YAML, and call tasks that exist", async () => {
  const { default: { tasks } } = await import("../../deno.json", { with: { type: "json" } });
  for (const directory of ["workflows", "ISSUE_TEMPLATE"]) {
    for (const { name } of Deno.readDirSync(`${root}.github/${directory}`)) {
      const text = Deno.readTextFileSync(`${root}.github/${directory}/${name}`);
      const { errors, warnings } = parseDocument(text);
      assert.deepEqual([errors, warnings], [[], []], name);
      for (const [, version, task] of text.matchAll(/deno@([\d.]+) task ([\w:]+)/g)) {
        assert.equal(version, Deno.version.deno, name);
        assert.ok(Object.hasOwn(tasks, task!), `${name}: ${task}`);
      }
    }
  }
});
