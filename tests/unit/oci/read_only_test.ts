import assert from "node:assert/strict";
import { isReadOnlyMount } from "../../../lib/oci/read_only.ts";

const CASES: [options: string[], readOnly: boolean][] = [
  [[], false],
  [["rbind"], false],
  [["rbind", "rw"], false],
  [["rbind", "ro"], true],
  [["ro", "rw"], false],
  [["rw", "ro"], true],
  [["rbind", "rro"], true],
  [["rro", "rw"], true],
  [["rw", "rbind", "rro", "rprivate"], true],
  [["ro", "rrw"], false],
  [["rro", "rrw"], true],
  [["rrw", "rro"], true],
  // Another option that only begins so.
  [["rbind", "rroot"], false],
];

for (const [options, readOnly] of CASES) {
  Deno.test(`a mount with [${options}] is ${readOnly ? "read-only" : "writable"}`, () => {
    assert.equal(isReadOnlyMount(options), readOnly);
  });
}
