/** Hostile and valid inputs of every parser, the same in every run: see tests/fuzz. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { UruncError } from "../../lib/errors.ts";
import { casesOf, runTarget, TARGETS } from "../fuzz/run.ts";
import { parsed, type Target } from "../fuzz/target.ts";
import { testIf } from "../support/skip.ts";

/** Of all targets together. */
const CASES = 100_000;

for (const target of TARGETS) {
  const cases = casesOf(target, CASES);
  const { needs } = target;
  testIf(`fuzz: ${target.name}, ${cases} cases`, { needs, timeoutSeconds: 100 }, async () => {
    const failure = await runTarget(target, { seed: 20_261_128, cases });
    assert.equal(failure, undefined, failure);
  });
}

const DEFECTS: [what: string, parse: (input: number) => unknown, says: RegExp][] = [
  ["a property of nothing", () => (undefined as unknown as { x: number }).x, /TypeError/],
  ["an error of another class", () => fail(new Error("no")), /Error: no/],
  ["an error without a reason", () => refuse(""), /AssertionError/],
];

for (const [what, parse, says] of DEFECTS) {
  Deno.test(`fuzz: ${what} is found, and the smallest input for it`, async () => {
    const check = (input: number) => void parsed(() => input > 100 && parse(input));
    const target = { name: "x", weight: 1, inputs: fc.nat(), check } as Target;
    const failure = await runTarget(target, { seed: 1, cases: 100 });
    assert.match(failure ?? "", says);
    assert.match(failure!, /seed: 1,.*\[101\]/s);
  });
}

Deno.test("fuzz: an error of urunc's own is in order", async () => {
  const check = () => void parsed(() => refuse("it is too small"));
  const target: Target = { name: "x", weight: 1, inputs: fc.nat(), check };
  assert.equal(await runTarget(target, { seed: 1, cases: 10 }), undefined);
});

function fail(error: Error): never {
  throw error;
}

function refuse(reason: string): never {
  throw new UruncError({ operation: "read", reason });
}
