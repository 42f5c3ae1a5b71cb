import assert from "node:assert/strict";
import { assemble } from "../../../../lib/protocol/bpf/assembler.ts";

Deno.test("a jump's offset counts the instructions between it and its label", () => {
  const jump = { code: 0x05, to: "end" };
  const exit = { code: 0x95 };
  const offsets = (bytes: Uint8Array<ArrayBuffer>) =>
    Array.from({ length: bytes.length / 8 }, (_, i) => {
      return new DataView(bytes.buffer).getInt16(8 * i + 2, true);
    });
  const program = assemble([jump, jump, { label: "unused" }, exit, { label: "end" }, exit]);
  assert.deepEqual(offsets(program), [2, 1, 0, 0]);
});

Deno.test("registers share a byte, numbers are little-endian", () => {
  const line = { code: 0xb7, destination: 1, source: 10, offset: -2, immediate: -3 };
  assert.deepEqual([...assemble([line])], [0xb7, 0xa1, 0xfe, 0xff, 0xfd, 0xff, 0xff, 0xff]);
});

Deno.test("a jump to no label, or back, is a mistake of ours", () => {
  const jump = { code: 0x05, to: "x" };
  assert.throws(() => assemble([jump]), TypeError);
  assert.throws(() => assemble([{ label: "x" }, jump]), TypeError);
});
