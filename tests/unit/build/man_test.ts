/** The manual pages have all that the tables have, and are well formed. */
import assert from "node:assert/strict";
import { manualPages } from "../../../lib/build/man.ts";
import { roffText } from "../../../lib/build/roff.ts";
import { commands } from "../../../lib/cli/parser/commands.ts";
import { globalOptions } from "../../../lib/cli/parser/options.ts";
import { refusedVerbs } from "../../../lib/cli/refused.ts";
import { configurationKeys, configurationTables, monitorKeys } from "../../../lib/config/keys.ts";
import { shimActions, shimFlags, shimTexts } from "../../../lib/shim/command/arguments.ts";
import { run } from "../../support/process.ts";
import { Scope } from "../../support/scope.ts";
import { testIf } from "../../support/skip.ts";

const pages = new Map(manualPages().map(({ name, text }) => [name, text]));

/** The terms of a page: what stands in bold before its meaning. */
function terms(name: string): string[] {
  const lines = pages.get(name)!.split("\n");
  return lines.filter((_, index) => lines[index - 1] === ".TP").map((line) =>
    line.replace(/^\.B /, "").replaceAll("\\-", "-")
  );
}

function hasTerm(page: string, pattern: RegExp): void {
  assert.ok(terms(page).some((term) => pattern.test(term)), `${page} has no ${pattern}`);
}

Deno.test("urunc(8) has every command, option and refused command", () => {
  for (const [verb, { options }] of Object.entries(commands)) {
    hasTerm("urunc.8", new RegExp(`^${verb}( |$)`));
    for (const { names } of Object.values<{ names: string[] }>(options)) {
      hasTerm("urunc.8", new RegExp(`^${names.join(", ")}( |$)`));
    }
  }
  for (const { names } of Object.values(globalOptions)) {
    hasTerm("urunc.8", new RegExp(`^${names.join(", ")}( |$)`));
  }
  for (const verb of Object.keys(refusedVerbs)) hasTerm("urunc.8", new RegExp(`^${verb}$`));
});

Deno.test("urunc-config(5) has every key", () => {
  const found = terms("urunc-config.5");
  const expected = [
    ...Object.keys(configurationKeys),
    ...Object.entries(configurationTables).flatMap(([table, specs]) =>
      Object.keys(specs).map((key) => `${table}.${key}`)
    ),
    ...Object.keys(monitorKeys).map((key) => `monitors.NAME.${key}`),
    "monitors.qemu.firmware.qboot",
    "monitors.qemu.firmware.seabios",
  ];
  assert.deepEqual(expected.filter((key) => !found.includes(key)), []);
});

Deno.test("containerd-shim-urunc-v2(8) has every action and option", () => {
  const options = [
    ...Object.keys(shimTexts).map((it) => `-${it} VALUE`),
    ...Object.keys(shimFlags).map((it) => `-${it}`),
  ];
  const found = terms("containerd-shim-urunc-v2.8");
  assert.deepEqual(
    [...Object.keys(shimActions), ...options].filter((it) => !found.includes(it)),
    [],
  );
});

Deno.test("roff takes nothing of a text for its own", () => {
  assert.equal(roffText(".TH a-b\\c"), "\\&.TH a\\-b\\ec");
  assert.equal(roffText("'quoted"), "\\&'quoted");
});

testIf("groff has nothing to say about the manual pages", { needs: ["groff"] }, async () => {
  await using scope = new Scope();
  const directory = await scope.temporaryDirectory("man");
  for (const [name, text] of pages) {
    await Deno.writeTextFile(`${directory}/${name}`, text);
    const warnings = await run([
      "groff",
      "-man",
      "-Kutf8",
      "-Tutf8",
      "-ww",
      "-z",
      `${directory}/${name}`,
    ]);
    assert.deepEqual([warnings.code, warnings.stderr], [0, ""], name);
  }
});

testIf("groff reports errors in a page", { needs: ["groff"] }, async () => {
  const { stderr } = await run(["groff", "-man", "-ww", "-z"], { stdin: ".TH X 1\n.XYZ\n" });
  assert.match(stderr, /XYZ/);
});
