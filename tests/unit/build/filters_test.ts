import assert from "node:assert/strict";
import { prepareFilters } from "../../../lib/build/filters.ts";
import { defaultConfiguration } from "../../../lib/config/parse.ts";
import { planLaunch } from "../../../lib/plan/launch.ts";
import { assembleFilter } from "../../../lib/seccomp/assemble.ts";
import { preparedKey } from "../../../lib/seccomp/prepared.ts";
import type { CallFilter } from "../../../lib/seccomp/types.ts";
import type { Configuration } from "../../../lib/config/types.ts";
import { launchInputOf, NETWORK } from "../../support/plan_inputs.ts";

function filtersOf(changes: Partial<Configuration> = {}): CallFilter[] {
  const configuration = { ...defaultConfiguration(), ...changes };
  const { plan } = planLaunch(launchInputOf({ configuration, network: NETWORK }));
  return plan.steps.flatMap((step) =>
    step.step === "openFilter" || step.step === "filterCalls" ? [step.filter] : []
  );
}

Deno.test("the filters of a node whose operator changed nothing are prepared", () => {
  const prepared = prepareFilters();
  const filters = filtersOf();
  assert.equal(filters.length, 3);
  for (const filter of filters) {
    const program = Uint8Array.fromBase64(prepared[preparedKey(filter)!]!);
    assert.deepEqual(program, assembleFilter(filter));
  }
});

Deno.test("what the operator changed is assembled: another mode, another call", () => {
  for (const filter of filtersOf({ seccomp: "log" })) {
    assert.equal(preparedKey(filter), undefined);
  }
  const qemu = { capabilities: [], data_paths: [], system_calls: ["mbind"] };
  const [monitor] = filtersOf({ monitors: { qemu } });
  assert.deepEqual(monitor!.allowed, ["mbind"]);
  assert.equal(preparedKey(monitor!), undefined);
});

Deno.test("without filters the plan has no step for them, and proves none", () => {
  const configuration = { ...defaultConfiguration(), seccomp: "off" as const };
  const { plan, identity } = planLaunch(launchInputOf({ configuration }));
  assert.deepEqual(plan.steps.filter(({ step }) => /[fF]ilter/.test(step)), []);
  assert.equal(identity.seccompFilters, undefined);
});
