import assert from "node:assert/strict";
import { UruncError } from "../../../../lib/errors.ts";
import {
  parseRecord,
  readRecord,
  type TaskRecord,
  writeRecord,
} from "../../../../lib/shim/command/record.ts";
import { Scope } from "../../../support/scope.ts";

const RECORDS: TaskRecord[] = [
  { version: 1, kind: "unikernel", root: "/run/urunc/k8s.io" },
  { version: 1, kind: "delegated", root: "/run/x", runtime: "runc", systemdCgroup: true },
];

Deno.test("a shim's record is read as it was written; without one nothing is left", async () => {
  await using scope = new Scope();
  const bundle = await scope.temporaryDirectory("bundle");
  assert.equal(readRecord(bundle), undefined);
  for (const record of RECORDS) {
    writeRecord(bundle, record);
    const read = readRecord(bundle);
    assert.deepEqual({ ...read, ...record }, read);
  }
});

for (
  const [what, text, says] of [
    ["nothing in it", "", /not JSON/],
    ["another version", '{"version":2}', /version: found the number 2/],
    ["no runtime", '{"version":1,"kind":"delegated","root":"/r"}', /runtime: required/],
  ] as const
) {
  Deno.test(`a shim's record with ${what} is refused, with its path`, () => {
    assert.throws(() => parseRecord(text, "/bundle/urunc.task"), (error) => {
      assert.ok(error instanceof UruncError);
      assert.match(error.message, /\/bundle\/urunc\.task/);
      assert.match(error.message, says);
      return true;
    });
  });
}
