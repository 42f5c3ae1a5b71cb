/** Documents that list guests and monitors: each list is what the registries say. */
import assert from "node:assert/strict";
import { guestTypes } from "../../../lib/guest/families/registry.ts";
import { monitorByName, monitorNames } from "../../../lib/monitor/registry.ts";

const read = (name: string) =>
  Deno.readTextFileSync(new URL(`../../../docs/${name}`, import.meta.url));
const images = read("images.md");

/** The words in backquotes of the line that a pattern finds, but for what the pattern itself matches. */
function wordsOf(text: string, pattern: RegExp): string[] {
  const [line, skipped] = pattern.exec(text) ?? [];
  assert.ok(line !== undefined, `no line is ${pattern}`);
  return [...line.slice(skipped!.length).matchAll(/`(\w+)`/g)].map(([, word]) => word!);
}

/** The first two cells of the table below the heading `guest`, `monitors`. */
function documentedGuests(): Record<string, string> {
  const [, rows] = /^\| guest +\| monitors +\|.*\n.*\n((?:\|.*\n)+)/m.exec(images) ?? [];
  assert.ok(rows !== undefined, "there is no table of guests and monitors");
  return Object.fromEntries(
    [...rows.matchAll(/^\| `(\w+)` +\| ([^|]*?) +\|/gm)].map(([, guest, monitors]) =>
      [guest!, monitors!] as const
    ),
  );
}

/** `QEMU, Solo5 hvt, spt`: titles, where a word that two have in common stands once. */
function titlesOf(type: string): string {
  const titles = monitorNames().map(monitorByName)
    .filter(({ guests }) => guests.some((it) => it === type))
    .map(({ title }) => title);
  return titles.map((title, index) => {
    const [maker, ...rest] = title.split(" ");
    return index > 0 && titles[index - 1]!.startsWith(`${maker} `) ? rest.join(" ") : title;
  }).join(", ");
}

Deno.test("the table of guests names the monitors of each", () => {
  const expected = Object.fromEntries(guestTypes().map((type) => [type, titlesOf(type)]));
  assert.deepEqual(documentedGuests(), expected);
});

Deno.test("the keys of an image list every guest family and monitor", () => {
  const types = wordsOf(images, /^(\| `unikernelType`).*/m);
  assert.deepEqual(types.toSorted(), guestTypes().toSorted());
  assert.deepEqual(wordsOf(images, /^(\| `hypervisor`).*/m), monitorNames());
});

Deno.test("the configuration lists every monitor", () => {
  assert.deepEqual(wordsOf(read("configuration.md"), /^(`NAME` is ).*?\./m), monitorNames());
});

Deno.test("every guest family has a monitor that boots it", () => {
  for (const type of guestTypes()) assert.notEqual(titlesOf(type), "", type);
});
