import assert from "node:assert/strict";
import { hastenJoin } from "../../lib/container/cgroups/hasten.ts";
import { testIf } from "../support/skip.ts";

testIf(
  "a process whose move is hastened stays where it is",
  { needs: ["root", "sleep"] },
  async () => {
    const child = new Deno.Command("sleep", { args: ["60"] }).spawn();
    try {
      const cgroups = () => Deno.readTextFileSync(`/proc/${child.pid}/cgroup`);
      const before = cgroups();
      await hastenJoin(child.pid);
      assert.equal(cgroups(), before);
    } finally {
      child.kill("SIGKILL");
      await child.status;
    }
  },
);

testIf("a process that is gone is nothing to hasten", { needs: ["root", "true"] }, async () => {
  const child = new Deno.Command("true").spawn();
  await child.status;
  await hastenJoin(child.pid);
});
