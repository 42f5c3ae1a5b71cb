import assert from "node:assert/strict";
import { describeFeatures } from "../../../lib/oci/features.ts";
import { specTable } from "../../../lib/oci/spec_table.ts";

const { linux } = describeFeatures();

const cases: [property: string, isEnabled: boolean][] = [
  ["process.apparmorProfile", linux.apparmor.enabled],
  ["process.selinuxLabel", linux.selinux.enabled],
  ["linux.seccomp", linux.seccomp.enabled],
  ["linux.intelRdt", linux.intelRdt.enabled],
];

for (const [property, isEnabled] of cases) {
  Deno.test(`features: ${property} is enabled when it is honoured`, () => {
    const row = specTable.find((it) => it.property === property);
    assert.equal(isEnabled, row?.treatment === "honoured");
  });
}
