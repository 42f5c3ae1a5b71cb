import assert from "node:assert/strict";
import { parseAcl } from "../../../lib/host/acl.ts";

/** As the kernel writes it: version, then tag, permissions and id of each entry. */
function binary(version: number, entries: [number, number, number][]): Uint8Array {
  const view = new DataView(new ArrayBuffer(4 + 8 * entries.length));
  view.setUint32(0, version, true);
  entries.forEach(([tag, permissions, id], index) => {
    view.setUint16(4 + 8 * index, tag, true);
    view.setUint16(6 + 8 * index, permissions, true);
    view.setUint32(8 + 8 * index, id, true);
  });
  return new Uint8Array(view.buffer);
}

const NO_ID = 0xffffffff;

Deno.test("an access control list is parsed from its binary form", () => {
  const bytes = binary(2, [
    [0x01, 6, NO_ID],
    [0x02, 7, 1000],
    [0x04, 4, NO_ID],
    [0x08, 6, 108],
    [0x10, 6, NO_ID],
    [0x20, 0, NO_ID],
  ]);
  assert.deepEqual(parseAcl(bytes), [
    { tag: "user_obj", permissions: 6 },
    { tag: "user", id: 1000, permissions: 7 },
    { tag: "group_obj", permissions: 4 },
    { tag: "group", id: 108, permissions: 6 },
    { tag: "mask", permissions: 6 },
    { tag: "other", permissions: 0 },
  ]);
});

Deno.test("an access control list may start anywhere in its buffer", () => {
  const padded = new Uint8Array([9, 9, 9, ...binary(2, [[0x20, 4, NO_ID]])]);
  assert.deepEqual(parseAcl(padded.subarray(3)), [{ tag: "other", permissions: 4 }]);
});

for (
  const [what, bytes, message] of [
    ["no bytes", new Uint8Array(), /0 bytes/],
    ["half an entry", binary(2, [[1, 6, NO_ID]]).subarray(0, 8), /8 bytes/],
    ["another version", binary(1, []), /version 1 is not 2/],
    ["an unknown tag", binary(2, [[0x40, 6, 0]]), /tag 0x40/],
  ] as [string, Uint8Array, RegExp][]
) {
  Deno.test(`an access control list of ${what} is refused`, () => {
    assert.throws(() => parseAcl(bytes, "/dev/kvm"), (error: Error) => {
      assert.match(error.message, message);
      assert.match(error.message, /\/dev\/kvm/);
      return true;
    });
  });
}
