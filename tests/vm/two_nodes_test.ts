/** Two nodes at the same time, whose kvm groups have different numbers: one image suits both. */
import assert from "node:assert/strict";
import { testIf } from "../support/skip.ts";
import { InnerRun } from "./_inner.ts";
import { nodeNeeds, type VmNode, withNode } from "./node.ts";

const OTHER_GID = 4242;

testIf("two nodes whose kvm groups have different numbers", {
  ...nodeNeeds(2),
  timeoutSeconds: 1200,
}, async (context) => {
  const files = ["tests/vm/node/kvm_group_test.ts"];
  const first = new InnerRun(context, files, "the image's number: ");
  const second = new InnerRun(context, files, "another number: ");
  await withNode({}, async (one) => {
    await withNode({ kvmGid: OTHER_GID }, async (other) => {
      assert.equal(await kvmGid(other), OTHER_GID);
      assert.notEqual(await kvmGid(one), OTHER_GID);
      await first.in(one);
      await second.in(other);
    });
  });
});

async function kvmGid(node: VmNode): Promise<number> {
  const { stdout } = await node.run(["stat", "--format=%g", "/dev/kvm"], { check: true });
  return Number(stdout);
}
