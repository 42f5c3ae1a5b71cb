import assert from "node:assert/strict";
import { LinuxError } from "../../../ffi/errors.ts";
import { allocate, cString, cStringOrNull, cStringVector } from "../../../ffi/memory.ts";

/** Reads a vector as C would: pointer by pointer up to NULL. */
function readVector(vector: Uint8Array<ArrayBuffer>): string[] {
  const pointers = new DataView(vector.buffer);
  const values: string[] = [];
  for (let offset = 0; pointers.getBigUint64(offset, true) !== 0n; offset += 8) {
    const pointer = Deno.UnsafePointer.create(pointers.getBigUint64(offset, true));
    values.push(Deno.UnsafePointerView.getCString(pointer as Deno.PointerObject));
  }
  return values;
}

Deno.test("a C string is UTF-8 and ends in NUL", () => {
  const cases: [string, number[]][] = [
    ["", [0]],
    ["a", [97, 0]],
    ["ä€😀", [0xc3, 0xa4, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0]],
  ];
  for (const [value, bytes] of cases) assert.deepEqual([...cString(value, "open")], bytes);
  assert.equal(cStringOrNull(null, "mount"), null);
});

Deno.test("a string that C would read differently is refused", () => {
  for (const value of ["\0", "/etc/passwd\0.txt", "\ud800", "a\udc00b"]) {
    for (const make of [() => cString(value, "open"), () => cStringVector([value], "open")]) {
      assert.throws(make, (error) => {
        assert.ok(error instanceof LinuxError);
        assert.equal(error.operation, "open");
        assert.equal(error.code, "EINVAL");
        assert.ok(!error.message.includes("\0"), "the message is printable");
        return true;
      });
    }
  }
});

Deno.test("a vector holds its strings, in order, up to a NULL", () => {
  const cases = [[], [""], ["a", "", "ä€😀"], Array.from({ length: 500 }, (_, i) => `arg ${i}`)];
  for (const values of cases) {
    const vector = cStringVector(values, "execve");
    assert.deepEqual(readVector(vector), values);
  }
});

Deno.test("a vector survives what the garbage collector moves", () => {
  const vector = cStringVector(["short"], "execve");
  for (let round = 0; round < 50; round++) new Array(100_000).fill(round).map((n) => ({ n }));
  assert.deepEqual(readVector(vector), ["short"]);
});

Deno.test("no memory of no size: it would be NULL", () => {
  for (const size of [0, -1, NaN]) assert.throws(() => allocate(size), RangeError);
});
