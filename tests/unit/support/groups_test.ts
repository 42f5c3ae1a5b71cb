import assert from "node:assert/strict";
import { describeBudget, GROUPS } from "../../support/groups.ts";
import { packagesFor, TEST_PACKAGES } from "../../support/packages.ts";

/** What a run of all tests may take. */
const BUDGET_MINUTES = 75;

Deno.test("the budget is a table of the groups that run, with its sum", () => {
  const all = describeBudget(GROUPS.map((it) => it.name));
  assert.equal(all.length, GROUPS.length + 2);
  const minutes = all.map((it) => Number(/^\w+ +(\d+) min/.exec(it)?.[1]));
  assert.equal(minutes.at(-1), BUDGET_MINUTES);
  assert.equal(minutes.slice(0, -1).reduce((sum, it) => sum + it), BUDGET_MINUTES);
  assert.deepEqual(describeBudget(["unit"]).map((it) => it.split(" ")[0]), [
    ...["preparation", "unit", "all"],
  ]);
});

Deno.test("unit tests alone need few packages, any other group all of them", () => {
  const few = packagesFor(["unit"]);
  assert.ok(few.length > 0 && few.every((it) => it.unit));
  assert.ok(!few.some((it) => /qemu|docker|containerd|podman/.test(it.package)));
  assert.deepEqual(packagesFor(["unit", "e2e"]), TEST_PACKAGES);
});
