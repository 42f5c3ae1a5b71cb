import assert from "node:assert/strict";
import { parseElf, PT_LOAD, PT_NULL } from "../../../lib/build/elf.ts";
import { link, type LinkInput, STUB_MAGIC } from "../../../lib/build/link.ts";
import {
  elfFixture,
  END_ADDRESS,
  ENTRY,
  HEADERS_INDEX,
  HEADERS_OFFSET,
  INTERPRETER,
  INTERPRETER_INDEX,
  NOTE_INDEX,
} from "./elf_fixture.ts";

const CODE = [0x90, 0x90, 0xc3];
const STUB = new Uint8Array([
  ...new TextEncoder().encode(STUB_MAGIC),
  ...Array(72).fill(0),
  ...CODE,
]);

function input(changes: Partial<LinkInput> = {}): LinkInput {
  return {
    base: elfFixture(),
    stub: STUB,
    loader: new TextEncoder().encode("console.log('é')"),
    program: new TextEncoder().encode("program"),
    traces: new TextEncoder().encode("traces"),
    arguments: ["deno", "run"],
    environment: ["A=1"],
    dropped: ["X_", "Y=", "Z"],
    ...changes,
  };
}

/** C strings from a table in the segment. */
function readTable(segment: Uint8Array, offset: number, count: number): string[] {
  return new TextDecoder().decode(segment.subarray(offset)).split("\0").slice(0, count);
}

Deno.test("link turns the note into a segment with the stub, and enters there", () => {
  const result = link(input());
  const elf = parseElf(result);
  const added = elf.headers[NOTE_INDEX];
  assert.ok(added !== undefined);
  const address = Math.ceil(END_ADDRESS / 4096) * 4096;
  const segmentSize = result.length - 4096 - "traces".length - 4;
  assert.deepEqual(added, {
    type: PT_LOAD,
    flags: 5,
    offset: 4096,
    address,
    fileSize: segmentSize,
    memorySize: segmentSize,
    align: 4096,
  });
  assert.equal(elf.entry, address + 80);

  const segment = result.subarray(added.offset);
  const view = new DataView(segment.buffer, segment.byteOffset);
  assert.deepEqual([...segment.subarray(80, 83)], CODE);
  assert.equal(address + Number(view.getBigInt64(8, true)), ENTRY);
  assert.equal(address + Number(view.getBigInt64(16, true)), INTERPRETER);
  const bundleOffset = Number(view.getBigUint64(24, true));
  const bundleSize = Number(view.getBigUint64(32, true));
  assert.equal(
    new TextDecoder().decode(segment.subarray(bundleOffset, bundleOffset + bundleSize)),
    "console.log('é')",
  );
  const programOffset = Number(view.getBigUint64(40, true));
  assert.equal(new TextDecoder().decode(segment.subarray(programOffset, segmentSize)), "program");
  const tables = [48, 56, 64].map((at) =>
    readTable(segment, view.getUint32(at, true), view.getUint32(at + 4, true))
  );
  assert.deepEqual(tables, [["deno", "run"], ["A=1"], ["X_", "Y=", "Z"]]);
});

Deno.test("link hides the interpreter from the kernel only", () => {
  const original = parseElf(elfFixture()).headers;
  const result = link(input());
  const elf = parseElf(result);
  const hidden = elf.headers[INTERPRETER_INDEX]!;
  assert.deepEqual(hidden, { ...original[INTERPRETER_INDEX], type: PT_NULL });

  // The copy, as the stub finds it and its readers do.
  const added = elf.headers[NOTE_INDEX]!;
  const view = new DataView(result.buffer, added.offset);
  const [offset, count] = [view.getUint32(72, true), view.getUint32(76, true)];
  const copy = result.slice();
  new DataView(copy.buffer).setBigUint64(32, BigInt(added.offset + offset), true);
  assert.equal(count, original.length);
  assert.deepEqual(
    parseElf(copy).headers,
    original.with(NOTE_INDEX, added).with(HEADERS_INDEX, {
      ...original[HEADERS_INDEX]!,
      offset: added.offset + offset,
      address: added.address + offset,
    }),
  );
});

Deno.test("link puts what stack traces need at the end, and its length", () => {
  const result = link(input());
  const length = new DataView(result.buffer).getUint32(result.length - 4, true);
  const traces = result.subarray(result.length - 4 - length, result.length - 4);
  assert.equal(new TextDecoder().decode(traces), "traces");
});

Deno.test("link changes nothing of the base but the entry point and two headers", () => {
  const { base } = input();
  const result = link(input());
  const [note, interpreter] = [NOTE_INDEX, INTERPRETER_INDEX].map((it) => HEADERS_OFFSET + it * 56);
  for (const [at, byte] of base.entries()) {
    const changed = (at >= 24 && at < 32) || (at >= note! && at < note! + 56) ||
      (at >= interpreter! && at < interpreter! + 4);
    if (!changed) assert.equal(result[at], byte, `byte ${at}`);
  }
});

Deno.test("link is a function of its input", () => {
  assert.deepEqual(link(input()), link(input()));
});

Deno.test("link rejects what it cannot link correctly", () => {
  const cases: [Partial<LinkInput>, RegExp][] = [
    [{ base: link(input()) }, /no PT_NOTE/],
    [{ base: elfFixture({ headers: (all) => all.toReversed() }) }, /no PT_NOTE .* after/],
    [{ base: elfFixture({ headers: (all) => all.toSpliced(INTERPRETER_INDEX, 1) }) }, /PT_INTERP/],
    [{ base: elfFixture({ headers: (all) => all.toSpliced(HEADERS_INDEX, 1) }) }, /PT_PHDR/],
    [{ stub: STUB.subarray(8) }, /parameter block/],
    [{ stub: STUB.subarray(0, 72) }, /parameter block/],
    [{ stub: STUB.map((byte, at) => at === 20 ? 1 : byte) }, /parameter block/],
    [{ arguments: ["a\0b"] }, /NUL/],
  ];
  for (const [changes, message] of cases) assert.throws(() => link(input(changes)), message);
});
