import assert from "node:assert/strict";
import { ALLOWANCE, Stopwatch, whenOver } from "../../support/busy.ts";

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** An account that returns the given values one after the other. */
function account(...readings: [idle: number, all: number][]) {
  let next = 0;
  return () => {
    const [idle, all] = readings[Math.min(next++, readings.length - 1)]!;
    return { idle, all };
  };
}

for (
  const [name, after, allowance] of [
    ["idle", [90, 100], 1],
    ["half idle", [50, 100], 1],
    ["busy", [10, 100], ALLOWANCE],
    ["not looked at for a tick", [0, 0], 1],
  ] satisfies [string, [number, number], number][]
) {
  Deno.test(`a machine that was ${name}: ${allowance} times the time`, () => {
    assert.equal(new Stopwatch(account([0, 0], after)).allowance(), allowance);
  });
}

Deno.test("a limit is kept to the letter on a quiet machine, and stretched on a busy one", async () => {
  const of = (idle: number) => new Stopwatch(account([0, 0], [idle, 100]));
  const [quiet, busy] = [of(90), of(10)];
  await sleep(30);
  assert.throws(() => quiet.assertWithin(20, "this"), /^Error: this took \d+ ms, limit 20$/);
  busy.assertWithin(20, "this");
  quiet.assertWithin(20_000, "this");
  await sleep(20 * ALLOWANCE);
  assert.throws(() => busy.assertWithin(20, "this"), /limit 20 on a busy machine/);
});

Deno.test("what is cancelled does not happen, what is not does", async () => {
  let happened = 0;
  whenOver(0.01, () => happened += 1).cancel();
  await new Promise<void>((resolve) =>
    whenOver(0.02, () => {
      happened += 10;
      resolve();
    })
  );
  assert.equal(happened, 10);
});
