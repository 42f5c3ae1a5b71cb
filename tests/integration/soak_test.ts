/** A short one of `deno task test:soak`. */
import assert from "node:assert/strict";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { soak } from "../soak/rounds.ts";

testIf("60 containers, 8 at a time: nothing is left, and list is right throughout", {
  needs: ["root", "gcc", "ip", "tc"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const { lists, listed } = await soak(scope, { rounds: 60, lanes: 8, warmUp: 8 });
  // It has looked at them while they lived.
  assert.ok(lists >= 5, `${lists} lists`);
  assert.ok(
    ["absent", "created", "running"].every((it) => listed.has(it)),
    `${[...listed.keys()]}`,
  );
});
