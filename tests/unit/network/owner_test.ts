import assert from "node:assert/strict";
import { formatOwner, parseOwner } from "../../../lib/network/owner.ts";

Deno.test("an owner is read back, and nothing else is taken for one", () => {
  const owner = { pid: 4194303, startTime: "18446744073709551615" };
  assert.deepEqual(parseOwner(formatOwner(owner)), owner);
  for (
    const alias of [undefined, "", "uplink", "urunc:0:1", "urunc:1", "urunc:1:2:3", "urunc:1:x"]
  ) {
    assert.equal(parseOwner(alias), undefined, alias);
  }
});
