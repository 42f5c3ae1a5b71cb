import assert from "node:assert/strict";
import { diskDevices } from "../../../lib/oci/disk_devices.ts";
import { specOf } from "../../support/plan_inputs.ts";

const XVDA = { type: "b", path: "/dev/xvda", major: 253, minor: 3 };
/** As all engines begin. */
const NONE = { allow: false, access: "rwm" };

function accessOf(...rules: Record<string, unknown>[]): string {
  const spec = specOf({ linux: { devices: [XVDA], resources: { devices: rules } } });
  assert.deepEqual(spec.unsupported.refused, []);
  const [disk, ...more] = diskDevices(spec);
  assert.deepEqual(more, []);
  assert.deepEqual([disk!.device.path, disk!.device.major, disk!.device.minor], [
    XVDA.path,
    253,
    3,
  ]);
  return disk!.access;
}

Deno.test("a block device is a disk that may be used as the last matching rule says", () => {
  const rule = (access?: string, changes = {}) => (
    { allow: true, type: "b", major: 253, minor: 3, access, ...changes }
  );
  assert.equal(accessOf(), "rw");
  assert.equal(accessOf(NONE), "none");
  assert.equal(accessOf(NONE, rule("rwm")), "rw");
  assert.equal(accessOf(NONE, rule()), "rw");
  assert.equal(accessOf(NONE, rule("rm")), "r");
  assert.equal(accessOf(NONE, rule("m")), "none");
  assert.equal(accessOf(NONE, rule("rwm"), { ...rule("w"), allow: false }), "r");
  assert.equal(accessOf(NONE, rule("rwm", { minor: undefined })), "rw");
  assert.equal(accessOf(NONE, rule("rwm", { type: "a", major: -1, minor: -1 })), "rw");
  for (const other of [{ minor: 4 }, { major: 7 }, { type: "c" }]) {
    assert.equal(accessOf(NONE, rule("rwm", other)), "none", JSON.stringify(other));
  }
});

Deno.test("other devices are not disks", () => {
  const devices = [
    { ...XVDA, type: "c", path: "/dev/null" },
    { type: "b", path: "/dev/without-numbers" },
  ];
  assert.deepEqual(diskDevices(specOf({ linux: { devices } })), []);
});
