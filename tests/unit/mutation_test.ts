/** Every step of a launch plan, and every key of the operator's policy, has a test that guards it. */
import assert from "node:assert/strict";
import { configurationKeys, configurationTables } from "../../lib/config/keys.ts";
import {
  FILTER_GUARDS,
  FORK_GUARDS,
  NETWORK_GUARDS,
  POLICY_GUARDS,
  PROOF_GUARDS,
} from "../mutation/policies.ts";
import { FILE_SERVER_GUARDS, STEP_GUARDS } from "../mutation/steps.ts";
import type { Guard } from "../mutation/types.ts";
import { repositoryDirectory } from "../support/urunc.ts";

const root = repositoryDirectory();
const read = (path: string) => Deno.readTextFileSync(`${root}${path}`);

/** Of keys at the top of config.toml, those that forbid something. */
const FORBIDDING = Object.keys(configurationKeys)
  .filter((key) => /^denied_|_filter$|^seccomp$/.test(key));

const PATCHES = [POLICY_GUARDS, FILTER_GUARDS, NETWORK_GUARDS, PROOF_GUARDS, FORK_GUARDS].flatMap((
  it,
) => Object.values(it));

Deno.test("every step of a launch plan has a test that fails without it", () => {
  const kinds = [...read("lib/plan/types.ts").matchAll(/\bstep: "(\w+)"/g)].map(([, kind]) =>
    kind!
  );
  assert.ok(kinds.length > 50);
  assert.deepEqual(Object.keys(STEP_GUARDS).sort(), [...new Set(kinds)].sort());
});

Deno.test("every key of the operator's policy has a test that fails without it", () => {
  // What is in a table of a table says where things are, and forbids nothing.
  const tables = Object.entries(configurationTables).filter(([table]) => !table.includes("."));
  const keys = tables.flatMap(([table, specs]) =>
    Object.keys(specs).map((key) => `${table}.${key}`)
  );
  assert.deepEqual(Object.keys(POLICY_GUARDS).sort(), [...keys, ...FORBIDDING].sort());
});

Deno.test("what a guard takes out of the source is there, once", () => {
  for (const { file, replace } of PATCHES) {
    assert.equal(read(file).split(replace).length, 2, `${file}: ${replace}`);
  }
});

Deno.test("the tests that guard steps and policies exist", () => {
  const guards: Guard[] = [
    ...Object.values({ ...STEP_GUARDS, ...FILE_SERVER_GUARDS }),
    ...PATCHES,
  ];
  for (const { test } of guards) Deno.statSync(`${root}${test}`);
});
