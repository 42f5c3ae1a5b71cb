/** In a node with systemd, cgroup v2, AppArmor and nested KVM: see tests/vm/node. */
import { testIf } from "../support/skip.ts";
import { runInside } from "./_inner.ts";
import { nodeNeeds, withNode } from "./node.ts";

const TIMEOUT_SECONDS = 900;

/** What was written for any machine, and says something else under systemd and cgroup v2. */
const SHARED: string[] = [];

testIf("node", { ...nodeNeeds(), timeoutSeconds: TIMEOUT_SECONDS }, async (context) => {
  const chosen = Deno.env.get("URUNC_VM_FILES")?.split(" ").filter(Boolean);
  await withNode({}, (node) => runInside(context, node, chosen ?? SHARED, TIMEOUT_SECONDS - 120));
});
