/** What the shim does later, when nobody waits for it: nobody would handle its failure either. */
import assert from "node:assert/strict";
import { spawn } from "../../../ffi/linux.ts";
import { Reactor } from "../../../lib/shim/daemon/reactor.ts";
import { Reaper } from "../../../lib/shim/daemon/reaper.ts";
import { WarmInit } from "../../../lib/shim/daemon/warm_init.ts";
import { delay } from "../../../lib/os/timer.ts";
import { testIf } from "../../support/skip.ts";

testIf("an init that cannot be started before it is needed is missed only then", {
  needs: ["root"],
}, async () => {
  let attempts = 0;
  const observer = {
    afterStep() {},
    initArguments() {
      attempts++;
      throw new Error("EAGAIN");
    },
  };
  const inits = new WarmInit(observer, new Reaper(new Reactor()));
  inits.prepareSoon();
  await delay(100);
  assert.equal(attempts, 1);
  assert.throws(() => inits.take({ kind: "new" }), /EAGAIN/);
});

Deno.test("a sweep for zombies that fails ends nothing", async () => {
  const reaper = new Reaper(new Reactor());
  const { readDirSync } = Deno;
  let attempts = 0;
  Deno.readDirSync = () => {
    attempts++;
    throw new Error("EMFILE");
  };
  try {
    for (let round = 1; round <= 2; round++) {
      const pid = spawn({ path: "/bin/true", argv: ["true"], env: [], fds: [] });
      assert.equal((await reaper.wait(pid)).exitCode, 0);
      await delay(700);
      assert.equal(attempts, round);
    }
  } finally {
    Deno.readDirSync = readDirSync;
  }
});
