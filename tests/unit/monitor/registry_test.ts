import assert from "node:assert/strict";
import { UnsupportedError } from "../../../lib/errors.ts";
import { qemu } from "../../../lib/monitor/qemu/qemu.ts";
import { monitorByName, monitorNames } from "../../../lib/monitor/registry.ts";

Deno.test("monitorByName finds every monitor by its own name", () => {
  assert.equal(monitorByName("qemu"), qemu);
  for (const name of monitorNames()) assert.equal(monitorByName(name).name, name);
});

for (const name of ["", "QEMU", "xen", "toString", "__proto__"]) {
  Deno.test(`monitorByName refuses ${JSON.stringify(name)} and lists what works`, () => {
    assert.throws(() => monitorByName(name), (error) => {
      assert.ok(error instanceof UnsupportedError);
      assert.match(error.message, /monitors that work: qemu, firecracker/);
      return true;
    });
  });
}
