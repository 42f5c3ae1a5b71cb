import assert from "node:assert/strict";
import { editDistance, suggestion } from "../../../lib/os/suggestion.ts";

const KNOWN = ["create", "start", "state", "run", "list", "ps", "--bundle", "-d", "--root"];

Deno.test("a misspelt word is recognised, and a short one is not taken for another word", () => {
  const rows: [word: string, meant: string | undefined][] = [
    ["crate", "create"],
    ["strat", "start"],
    ["sate", "state"],
    ["lsit", "list"],
    ["--bundel", "--bundle"],
    ["--rot", "--root"],
    ["type", undefined],
    ["stop", undefined],
    ["clh", undefined],
    ["ls", undefined],
    ["--rm", undefined],
    ["", undefined],
  ];
  for (const [word, meant] of rows) {
    const expected = meant === undefined
      ? `known: ${KNOWN.join(", ")}`
      : `did you mean ${JSON.stringify(meant)}?`;
    assert.equal(suggestion(word, KNOWN), expected, word);
  }
});

Deno.test("the distance counts insertions, deletions, replacements and exchanges", () => {
  const rows: [string, string, number][] = [
    ["", "", 0],
    ["abc", "abc", 0],
    ["abc", "acb", 1],
    ["abc", "ab", 1],
    ["ab", "abc", 1],
    ["abc", "axc", 1],
    ["abcd", "badc", 2],
    ["abc", "xyz", 3],
  ];
  for (const [from, to, distance] of rows) {
    assert.equal(editDistance(from, to), distance, from + to);
  }
});
