import assert from "node:assert/strict";
import { processorVendor } from "../../../lib/host/processor.ts";
import { Scope } from "../../support/scope.ts";

Deno.test("a processor's maker is read from the first processor, or is not known", async () => {
  await using scope = new Scope();
  const path = `${await scope.temporaryDirectory("cpuinfo")}/cpuinfo`;
  const cases = [
    ["processor\t: 0\nvendor_id\t: AuthenticAMD\ncpu family\t: 25\n", "AuthenticAMD"],
    ["processor\t: 0\nvendor_id\t: GenuineIntel\n" + "x".repeat(4096), "GenuineIntel"],
    ["processor\t: 0\nBogoMIPS\t: 243.75\n", undefined],
    ["", undefined],
  ] as const;
  for (const [text, vendor] of cases) {
    Deno.writeTextFileSync(path, text);
    assert.equal(processorVendor(path), vendor);
  }
});
