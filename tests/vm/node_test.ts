/** In a node with systemd, cgroup v2, AppArmor and nested KVM: see tests/vm/node. */
import { testIf } from "../support/skip.ts";
import { runInside } from "./_inner.ts";
import { nodeNeeds, withNode } from "./node.ts";

/** Twice what it takes on an idle machine of two cores. */
const TIMEOUT_SECONDS = 1080;

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

testIf("node", { ...nodeNeeds(), timeoutSeconds: TIMEOUT_SECONDS }, async (context) => {
  const chosen = Deno.env.get("URUNC_VM_FILES")?.split(" ").filter(Boolean);
  await withNode(
    {},
    (node) =>
      runInside(context, node, chosen ?? [...nodeFiles(), ...SHARED], TIMEOUT_SECONDS - 120),
  );
});
