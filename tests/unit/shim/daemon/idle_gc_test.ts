import assert from "node:assert/strict";
import { IdleGc } from "../../../../lib/shim/daemon/idle_gc.ts";
import { delay } from "../../../../lib/os/timer.ts";

/** Calls with a collector that only counts. */
async function counting(test: (collections: () => number) => Promise<void>): Promise<void> {
  const scope = globalThis as { gc?: unknown };
  const before = scope.gc;
  let count = 0;
  scope.gc = () => count++;
  try {
    await test(() => count);
  } finally {
    scope.gc = before;
  }
}

Deno.test("idleGc: collects once when no request has come for a second", () =>
  counting(async (collections) => {
    const idleGc = new IdleGc();
    idleGc.requestWasAnswered();
    await delay(600);
    idleGc.requestWasAnswered();
    await delay(600);
    assert.equal(collections(), 0, "a request came meanwhile");
    await delay(600);
    assert.equal(collections(), 1);
    await delay(1200);
    assert.equal(collections(), 1, "nothing has happened since");
  }));

Deno.test("idleGc: does not wait for quiet when very many requests have come", () =>
  counting(async (collections) => {
    const idleGc = new IdleGc();
    for (let request = 0; request < 500; request++) idleGc.requestWasAnswered();
    await delay(100);
    assert.equal(collections(), 1);
    await delay(1200);
    assert.equal(collections(), 1, "none has come since");
  }));
