import assert from "node:assert/strict";
import {
  and,
  answer,
  type Code,
  encodeClassic,
  ifAtLeast,
  ifEqual,
  loadWord,
} from "../../../../lib/protocol/bpf/classic.ts";
import { decide } from "../../../support/seccomp.ts";

const ALLOW = 0x7fff0000;
const KILL = 0x80000000;
const yes = [answer(ALLOW)];
const no = [answer(KILL)];

/** What a program says of these numbers. */
function results(program: Code, numbers: number[]): string[] {
  const bytes = encodeClassic([loadWord(0), ...program]);
  return numbers.map((nr) => decide(bytes, { nr }));
}

Deno.test("an instruction is a code, two jumps and an operand, little-endian", () => {
  const bytes = encodeClassic([{ code: 0x15, jt: 1, jf: 2, k: 0x80000001 }]);
  assert.deepEqual([...bytes], [0x15, 0, 1, 2, 1, 0, 0, 0x80]);
});

Deno.test("comparisons are of unsigned numbers", () => {
  assert.deepEqual(results(ifEqual(5, yes, no), [4, 5, 6]), ["kill", "allow", "kill"]);
  const large = 0x80000000;
  assert.deepEqual(results(ifAtLeast(large, yes, no), [large - 1, large, large + 1]), [
    ...["kill", "allow", "allow"],
  ]);
  assert.deepEqual(results([and(0x0f), ...ifEqual(3, yes, no)], [0x13, 0x30]), ["allow", "kill"]);
});

Deno.test("what is longer than a short jump is passed over all the same", () => {
  for (const length of [254, 255, 256, 1000]) {
    const long = [...Array(length - 1).fill(loadWord(0)), answer(KILL)];
    assert.deepEqual(results(ifEqual(7, yes, long), [7, 8]), ["allow", "kill"], `${length}`);
    assert.deepEqual(results(ifAtLeast(7, yes, long), [6, 7]), ["kill", "allow"], `${length}`);
  }
});
