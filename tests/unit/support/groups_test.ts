import assert from "node:assert/strict";
import { describeBudget, GROUPS, lanesOf, minutesFor } from "../../support/groups.ts";
import { packagesFor, TEST_PACKAGES } from "../../support/packages.ts";

/** What a run of all tests may take. */
const BUDGET_MINUTES = 75;

Deno.test("the budget is a table of the groups that run, with its sum", () => {
  const all = describeBudget(GROUPS.map((it) => it.name));
  assert.equal(all.length, GROUPS.length + 2);
  const minutes = all.map((it) => Number(/^\w+ +(\d+) min/.exec(it)?.[1]));
  const sum = minutes.pop();
  assert.equal(sum, BUDGET_MINUTES);
  const [beside] = minutes.splice(GROUPS.findIndex((it) => it.beside) + 1, 1);
  assert.equal(minutes.reduce((sum, it) => sum + it), BUDGET_MINUTES);
  assert.ok(beside! + minutes[0]! <= BUDGET_MINUTES);
  assert.deepEqual(describeBudget(["unit"]).map((it) => it.split(" ")[0]), [
    ...["preparation", "unit", "all"],
  ]);
});

Deno.test("the nodes' group runs beside the others, which have the terminal", () => {
  const lanes = (names: string[]) =>
    lanesOf(names).map(({ groups, letter, held }) => [groups.map((it) => it.name), letter, held]);
  assert.deepEqual(lanes(["unit", "integration", "e2e", "vm"]), [
    [["unit", "integration", "e2e"], "a", false],
    [["vm"], "b", true],
  ]);
  assert.deepEqual(lanes(["vm"]), [[["vm"], "b", false]]);
  assert.deepEqual(lanes(["e2e", "unit"]), [[["unit", "e2e"], "a", false]]);
});

Deno.test("a group has what the one before left, and lacks nothing that it took beyond its own", () => {
  const group = { name: "e2e", minutes: 20, what: "" };
  assert.equal(minutesFor(group), 20);
  assert.equal(minutesFor(group, { allowed: 40, took: 30 }), 30);
  assert.equal(minutesFor(group, { allowed: 40, took: 75 }), 20);
});

Deno.test("unit tests alone need few packages, any other group all of them", () => {
  const few = packagesFor(["unit"]);
  assert.ok(few.length > 0 && few.every((it) => it.unit));
  assert.ok(!few.some((it) => /qemu|docker|containerd|podman/.test(it.package)));
  assert.deepEqual(packagesFor(["unit", "e2e"]), TEST_PACKAGES);
});
