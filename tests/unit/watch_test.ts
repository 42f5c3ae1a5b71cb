import assert from "node:assert/strict";
import type { LogFields } from "../../lib/log.ts";
import { debug, isWatched, listen, remind, timed, timedSync } from "../../lib/watch.ts";

/** What is said while an action runs; milliseconds are replaced. */
async function lines(action: () => unknown): Promise<[string, LogFields | undefined][]> {
  const said: [string, LogFields | undefined][] = [];
  listen((message, fields) =>
    said.push([message, fields?.ms === undefined ? fields : { ...fields, ms: typeof fields.ms }])
  );
  try {
    await action();
  } finally {
    listen(undefined);
  }
  return said;
}

Deno.test("nothing is said, and actions are done, when nobody listens", async () => {
  assert.equal(isWatched(), false);
  debug("nobody hears it");
  assert.equal(timedSync("sync", () => 1), 1);
  assert.equal(await timed("async", () => Promise.resolve(2)), 2);
});

Deno.test("an action is said with its milliseconds when it is done", async () => {
  assert.deepEqual(await lines(() => timed("work", () => Promise.resolve(), { id: "a" })), [
    ["work", { ms: "number", id: "a" }],
  ]);
});

Deno.test("an action that blocks the thread is announced", async () => {
  assert.deepEqual(await lines(() => timedSync("work", () => {})), [
    ["work …", undefined],
    ["work", { ms: "number" }],
  ]);
});

Deno.test("a failure is said and passed on", async () => {
  const fail = () => {
    throw new Error("broken\nlatch");
  };
  assert.deepEqual(
    await lines(async () => {
      await assert.rejects(timed("work", fail), /broken/);
      assert.throws(() => timedSync("work", fail), /broken/);
    }),
    [
      ["work: broken\\x0alatch", { ms: "number" }],
      ["work …", undefined],
      ["work: broken\\x0alatch", { ms: "number" }],
    ],
  );
});

Deno.test("what goes on is mentioned after a second, with what it is by then", async () => {
  let what = "first";
  const said = await lines(async () => {
    const stop = remind(() => what, { id: "a" });
    what = "second";
    await new Promise((resolve) => setTimeout(resolve, 1200));
    stop();
    await new Promise((resolve) => setTimeout(resolve, 2200));
  });
  assert.deepEqual(said, [["still at: second", { ms: "number", id: "a" }]]);
});
