import assert from "node:assert/strict";
import { elf } from "../../../lib/guest/families/elf.ts";
import { guestOf, guestTypes } from "../../../lib/guest/families/registry.ts";
import type { GuestInput } from "../../../lib/guest/types.ts";
import { nextArg } from "./kernel_model.ts";

const bare: GuestInput = { args: [], env: ["A=1"], hasInitrd: false };

const lines: { name: string; input: Partial<GuestInput>; line?: string }[] = [
  { name: "nothing", input: {} },
  { name: "an empty command line of the image", input: { cmdline: "" } },
  { name: "arguments", input: { args: ["a", "b c", "--", ""] }, line: 'a "b c" -- ""' },
  { name: "the image's command line, as it stands", input: { cmdline: "x  'y'" }, line: "x  'y'" },
  { name: "arguments over the image's", input: { args: ["a"], cmdline: "b" }, line: "a" },
];

for (const { name, input, line } of lines) {
  Deno.test(`elf command line: ${name}`, () => {
    assert.equal(elf.commandLine({ ...bare, ...input }), line);
  });
}

Deno.test("elf: a guest can split the arguments again", () => {
  const args = [
    ...["one", "two words", "", "x=y z", '{"a":1}', "a,b", "it's", "back\\slash"],
    ...["line\nfeed", "tab\t", "é漢\u{1f642}"],
  ];
  const found: string[] = [];
  for (let rest = elf.commandLine({ ...bare, args })!; rest !== "";) {
    const word = nextArg(rest);
    found.push(word.val === undefined ? word.param : `${word.param}=${word.val}`);
    rest = word.rest;
  }
  assert.deepEqual(found, args);
});

Deno.test("elf: what cannot be written is refused by name", () => {
  assert.throws(() => elf.commandLine({ ...bare, args: ["a", 'b"c'] }), /process\.args\[1\]/);
  assert.throws(
    () => elf.commandLine({ ...bare, args: ["x".repeat(131072)] }),
    /131072 bytes.*131071/,
  );
  assert.throws(() => elf.commandLine({ ...bare, cmdline: "x".repeat(131072) }), /cmdline.*131072/);
});

Deno.test("every supported type has a guest of that name", () => {
  for (const type of guestTypes()) assert.equal(guestOf(type).type, type);
});
