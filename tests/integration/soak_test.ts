/** A short one of `deno task test:soak`. */
import assert from "node:assert/strict";
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { soakKills } from "../soak/kills.ts";
import { soak } from "../soak/rounds.ts";
import { CONTAINERD_NEEDS } from "../support/containerd.ts";

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

testIf("30 times kill -9 at random moments: nothing is left", {
  needs: [...CONTAINERD_NEEDS, "gcc", "tc"],
  timeoutSeconds: 240,
}, async () => {
  await using scope = new Scope();
  const kills = [...(await soakKills(scope, { rounds: 30, seed: 1 })).values()];
  const hits = kills.reduce((sum, it) => sum + it.hits, 0);
  assert.ok(hits >= 10, `${hits} victims were there`);
});
