/** Clean-ups at the end of tests. */
import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { withTimeout } from "../../support/skip.ts";

Deno.test("what was done is undone in reverse, once, and the one who ends the scope waits", async () => {
  const log: string[] = [];
  const scope = new Scope();
  scope.defer("first", () => log.push("first"));
  scope.defer("second", async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    log.push("second");
  });
  // As when the run is asked to end, and the test ends because of it.
  const [, , seen] = await Promise.all([
    scope[Symbol.asyncDispose](),
    scope[Symbol.asyncDispose](),
    scope[Symbol.asyncDispose]().then(() => [...log]),
  ]);
  assert.deepEqual(seen, ["second", "first"]);
  assert.deepEqual(log, ["second", "first"]);
});

Deno.test("every clean-up is tried, and all failures are reported", async () => {
  const log: string[] = [];
  const fail = (what: string) => () => {
    log.push(what);
    throw new Error(what);
  };
  const scope = new Scope();
  scope.defer("one", fail("one"));
  scope.defer("two", fail("two"));
  await assert.rejects(() => scope[Symbol.asyncDispose](), /clean-up failed: two; .*one/);
  assert.deepEqual(log, ["two", "one"]);
});

Deno.test("a test that does not end in time is given up, and what it made is undone", async () => {
  const log: string[] = [];
  await using outer = new Scope();
  outer.defer("older than the test", () => log.push("older"));
  const taken = Promise.withResolvers<void>();
  const test = async () => {
    await using scope = new Scope();
    scope.defer("the test's own", () => {
      log.push("own");
      taken.reject(new Error("it was taken away"));
    });
    await taken.promise;
  };
  await assert.rejects(() => withTimeout("slow", 0.05, test), /"slow" did not end within 0.05 s/);
  assert.deepEqual(log, ["own"]);
});
