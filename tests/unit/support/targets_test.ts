import assert from "node:assert/strict";
import { Scope } from "../../support/scope.ts";
import { listTestFiles, selectTests, UnclearTargetError } from "../../support/targets.ts";

const FILES = new Map([
  ["unit", [
    "tests/unit/oci/parse_test.ts",
    "tests/unit/plan/argv_test.ts",
    "tests/unit/shim/plan_test.ts",
    "tests/unit/timer_test.ts",
  ]],
  ["integration", [
    "tests/integration/memory_test.ts",
    "tests/integration/out_of_memory_test.ts",
    "tests/integration/stop_test.ts",
  ]],
  ["e2e", ["tests/e2e/docker/run_test.ts", "tests/e2e/docker/stop_test.ts"]],
]);

const select = (...targets: string[]) => [...selectTests(FILES, targets).values()].flat();

const CLEAR: [typed: string, files: string[]][] = [
  ["unit", FILES.get("unit")!],
  ["tests/e2e/docker", FILES.get("e2e")!],
  ["./tests/e2e/docker/", FILES.get("e2e")!],
  ["docker", FILES.get("e2e")!],
  ["oci", ["tests/unit/oci/parse_test.ts"]],
  ["plan", ["tests/unit/plan/argv_test.ts"]],
  ["plan_test.ts", ["tests/unit/shim/plan_test.ts"]],
  ["out_of_memory", ["tests/integration/out_of_memory_test.ts"]],
  ["out_of_memory_test", ["tests/integration/out_of_memory_test.ts"]],
  ["out_of_memory_test.ts", ["tests/integration/out_of_memory_test.ts"]],
  ["memory", ["tests/integration/memory_test.ts"]],
  ["docker/stop", ["tests/e2e/docker/stop_test.ts"]],
  ["tests/integration/stop_test.ts", ["tests/integration/stop_test.ts"]],
  ["integration/stop", ["tests/integration/stop_test.ts"]],
];

for (const [typed, files] of CLEAR) {
  Deno.test(`${typed} means ${files.join(" and ")}`, () => {
    assert.deepEqual(select(typed), files);
  });
}

Deno.test("nothing typed means all, several things all of them, in the order of the groups", () => {
  assert.deepEqual(selectTests(FILES, []), FILES);
  const selected = selectTests(FILES, ["docker/run", "timer", "run"]);
  assert.deepEqual([...selected], [
    ["unit", ["tests/unit/timer_test.ts"]],
    ["e2e", ["tests/e2e/docker/run_test.ts"]],
  ]);
});

const UNCLEAR: [typed: string, message: string[]][] = [
  ["stop", [
    "several tests are called stop:",
    "  tests/integration/stop_test.ts",
    "  tests/e2e/docker/stop_test.ts",
  ]],
  ["memroy", ["no such group or test: memroy:", "  tests/integration/memory_test.ts"]],
  ["of_memory", [
    "no such group or test: of_memory:",
    "  tests/integration/memory_test.ts",
    "  tests/integration/out_of_memory_test.ts",
  ]],
  ["nothing_like_it", [
    "no such group or test: nothing_like_it; groups are unit, integration, e2e",
  ]],
];

for (const [typed, message] of UNCLEAR) {
  Deno.test(`${typed} is refused, with what it could mean`, () => {
    assert.throws(() => select("unit", typed), {
      name: "UnclearTargetError",
      message: message.join("\n"),
    });
  });
}

Deno.test("a long list of candidates is cut, and says so", () => {
  const many = Array.from({ length: 20 }, (_, index) => `tests/unit/room${index}/same_test.ts`);
  assert.throws(() => selectTests(new Map([["unit", many]]), ["same"]), (error) => {
    assert.ok(error instanceof UnclearTargetError);
    assert.equal(error.message.split("\n").length, 14);
    assert.match(error.message, /\n {2}and 8 more$/);
    return true;
  });
});

Deno.test("files are listed by group, without what others run", async () => {
  await using scope = new Scope();
  const root = `${await scope.temporaryDirectory()}/`;
  for (const file of ["unit/b_test.ts", "unit/a/a_test.ts", "vm/x_test.ts", "vm/node/y_test.ts"]) {
    await Deno.mkdir(`${root}tests/${file.replace(/\/[^/]*$/, "")}`, { recursive: true });
    await Deno.writeTextFile(`${root}tests/${file}`, "");
  }
  await Deno.writeTextFile(`${root}tests/unit/helper.ts`, "");
  assert.deepEqual([...listTestFiles(root, ["unit", "vm", "none"], ["tests/vm/node"])], [
    ["unit", ["tests/unit/a/a_test.ts", "tests/unit/b_test.ts"]],
    ["vm", ["tests/vm/x_test.ts"]],
    ["none", []],
  ]);
});
