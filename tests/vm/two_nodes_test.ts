/** Two nodes at the same time, whose kvm groups have different numbers: one image suits both. */
import assert from "node:assert/strict";
import { testIf } from "../support/skip.ts";
import { runInside } from "./_inner.ts";
import { nodeNeeds, type VmNode, withNode } from "./node.ts";

const OTHER_GID = 4242;
const TIMEOUT_SECONDS = 600;

testIf("two nodes whose kvm groups have different numbers", {
  ...nodeNeeds(2),
  timeoutSeconds: TIMEOUT_SECONDS,
}, async (context) => {
  await withNode({}, async (one) => {
    await withNode({ kvmGid: OTHER_GID }, async (other) => {
      assert.equal(await kvmGid(other), OTHER_GID);
      assert.notEqual(await kvmGid(one), OTHER_GID);
      for (const [name, node] of [["the image's number", one], ["another", other]] as const) {
        await context.step(
          name,
          (step) => runInside(step, node, ["tests/vm/node/kvm_group_test.ts"], TIMEOUT_SECONDS / 3),
        );
      }
    });
  });
});

async function kvmGid(node: VmNode): Promise<number> {
  const { stdout } = await node.run(["stat", "--format=%g", "/dev/kvm"], { check: true });
  return Number(stdout);
}
