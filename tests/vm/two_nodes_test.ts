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
  // Each is made up for by itself; neither is left alone when the other fails.
  const ended = await Promise.allSettled([
    withNode({}, async (node) => {
      assert.notEqual(await kvmGid(node), OTHER_GID);
      await first.in(node);
    }),
    withNode({ kvmGid: OTHER_GID }, async (node) => {
      assert.equal(await kvmGid(node), OTHER_GID);
      await second.in(node);
    }),
  ]);
  const failures = ended.filter((it) => it.status === "rejected").map((it) => it.reason);
  if (failures.length > 0) throw new AggregateError(failures, failures.join("\n"));
});

async function kvmGid(node: VmNode): Promise<number> {
  const { stdout } = await node.run(["stat", "--format=%g", "/dev/kvm"], { check: true });
  return Number(stdout);
}
