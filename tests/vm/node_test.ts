/** In a node with systemd, cgroup v2, AppArmor and nested KVM: see tests/vm/node. */
import { testIf } from "../support/skip.ts";
import { InnerRun, ON_NESTED_KVM } from "./_inner.ts";
import { nodeNeeds, withNode } from "./node.ts";

/** What was written for any machine, and says more under systemd, cgroup v2 and AppArmor. */
const SHARED = [
  "tests/integration/identity_test.ts",
  "tests/integration/clean_room_test.ts",
  "tests/integration/cgroup_test.ts",
  "tests/integration/device_program_test.ts",
  "tests/integration/memory_test.ts",
  "tests/integration/lifecycle_damage_test.ts",
];

/** What only a node can show; the file that two nodes run is not among it. */
function nodeFiles(): string[] {
  return [...Deno.readDirSync(new URL("node/", import.meta.url))]
    .filter(({ name }) => name.endsWith("_test.ts") && name !== "kvm_group_test.ts")
    .map(({ name }) => `tests/vm/node/${name}`).sort();
}

/** First what uses no nested KVM: that cannot corrupt the node for them then. */
function allFiles(): string[] {
  const files = [...nodeFiles(), ...SHARED];
  const late = files.filter((it) => ON_NESTED_KVM.has(it));
  return [...files.filter((it) => !late.includes(it)), ...late];
}

// How long is the group's to say: what stands still is ended by itself.
testIf("node", { ...nodeNeeds(), timeoutSeconds: 3600 }, async (context) => {
  const chosen = Deno.env.get("URUNC_VM_FILES")?.split(" ").filter(Boolean);
  const run = new InnerRun(context, chosen ?? allFiles());
  await withNode({}, (node) => run.in(node));
});
