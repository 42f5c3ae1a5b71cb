/** A short one of what `deno task test:soak` does. */
import { Scope } from "../support/scope.ts";
import { testIf } from "../support/skip.ts";
import { liveInNetworks } from "../soak/network.ts";

testIf("50 starts leave namespaces, taps and tc as they were", {
  needs: ["root", "gcc", "ip", "tc", "nft"],
  timeoutSeconds: 120,
}, async () => {
  await using scope = new Scope();
  await liveInNetworks(scope, 50);
});
