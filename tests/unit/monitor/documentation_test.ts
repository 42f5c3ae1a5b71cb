/** The table of guests and monitors, in the README or a document: what the monitors say themselves. */
import assert from "node:assert/strict";
import { guestTypes } from "../../../lib/guest/families/registry.ts";
import { monitorByName, monitorNames } from "../../../lib/monitor/registry.ts";

const ROOT = new URL("../../../", import.meta.url);

function documents(): string[] {
  const docs = new URL("docs/", ROOT);
  let names: string[] = [];
  try {
    names = [...Deno.readDirSync(docs)].map(({ name }) => `docs/${name}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return ["README.md", ...names.filter((name) => name.endsWith(".md"))]
    .map((name) => Deno.readTextFileSync(new URL(name, ROOT)));
}

/** The first two cells of the rows below a heading `guest`, `monitors`. */
function documentedGuests(): Record<string, string> {
  for (const text of documents()) {
    const lines = text.split("\n");
    const heading = lines.findIndex((line) => /^\| guest +\| monitors +\|/.test(line));
    if (heading < 0) continue;
    const rows: Record<string, string> = {};
    for (const line of lines.slice(heading + 2)) {
      const [, guest, monitors] = /^\| `(\w+)` +\| ([^|]*?) +\|/.exec(line) ?? [];
      if (guest === undefined) return rows;
      rows[guest] = monitors!;
    }
  }
  throw new Error("no document has a table of guests and monitors");
}

/** `QEMU, Solo5 hvt, spt`: what they are called, and a word that two have in common once. */
function titlesOf(type: string): string {
  const titles = monitorNames().map(monitorByName)
    .filter(({ guests }) => (guests as readonly string[]).includes(type))
    .map(({ title }) => title);
  return titles.map((title, index) => {
    const [maker, ...rest] = title.split(" ");
    return index > 0 && titles[index - 1]!.startsWith(`${maker} `) ? rest.join(" ") : title;
  }).join(", ");
}

Deno.test("documents name the monitors of each guest", () => {
  const expected = Object.fromEntries(guestTypes().map((type) => [type, titlesOf(type)]));
  assert.deepEqual(documentedGuests(), expected);
});

Deno.test("every guest family has a monitor that boots it", () => {
  for (const type of guestTypes()) assert.notEqual(titlesOf(type), "", type);
});
