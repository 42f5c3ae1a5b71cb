import assert from "node:assert/strict";
import { repositoryDirectory } from "./urunc.ts";

/** Set: golden files are written anew; read the difference before it is committed. */
const UPDATE = "URUNC_UPDATE_GOLDEN";

/**
 * Compares a value with `fixtures/NAME.json`.
 *
 * @throws AssertionError showing the difference
 */
export function assertGolden(name: string, actual: unknown): void {
  const path = `${repositoryDirectory()}fixtures/${name}.json`;
  if (Deno.env.get(UPDATE)) Deno.writeTextFileSync(path, JSON.stringify(actual, null, 2) + "\n");
  const expected = JSON.parse(Deno.readTextFileSync(path));
  assert.deepEqual(JSON.parse(JSON.stringify(actual)), expected, `${path} (${UPDATE}=1 rewrites)`);
}
