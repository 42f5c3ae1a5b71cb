import assert from "node:assert/strict";
import { handledBy } from "../../../lib/launch/steps/landlock.ts";

/** Of each version of the interface, as landlock(7) lists them. */
const versions: [version: number, fs: number, net: number, scoped: number][] = [
  [1, 0x1fff, 0, 0],
  [2, 0x3fff, 0, 0],
  [3, 0x7fff, 0, 0],
  [4, 0x7fff, 3, 0],
  [5, 0xffff, 3, 0],
  [6, 0xffff, 3, 3],
  [7, 0xffff, 3, 3],
];

for (const [version, fs, net, scoped] of versions) {
  Deno.test(`version ${version} of Landlock is asked for no more than it knows`, () => {
    assert.deepEqual(handledBy(version), { fs, net, scoped });
  });
}
