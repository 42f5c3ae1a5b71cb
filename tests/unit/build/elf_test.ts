import assert from "node:assert/strict";
import { HostError } from "../../../lib/errors.ts";
import { parseElf } from "../../../lib/build/elf.ts";
import { elfFixture, ENTRY } from "./elf_fixture.ts";

Deno.test("parseElf reads the entry point and the program headers", () => {
  const elf = parseElf(elfFixture());
  assert.equal(elf.entry, ENTRY);
  assert.deepEqual(elf.headers.map((header) => header.type), [6, 3, 1, 1, 4]);
  assert.deepEqual(elf.headers[3], {
    type: 1,
    flags: 6,
    offset: 0x400,
    address: 0x3000,
    fileSize: 0x234,
    memorySize: 0x800,
    align: 8,
  });
});

Deno.test("parseElf works on a view into a larger buffer", () => {
  const fixture = elfFixture();
  const larger = new Uint8Array(fixture.length + 32);
  larger.set(fixture, 32);
  assert.equal(parseElf(larger.subarray(32)).entry, ENTRY);
});

Deno.test("parseElf rejects unknown formats", () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ["empty", new Uint8Array(), /ELF header/],
    ["a script", new TextEncoder().encode("#!/bin/sh\n".repeat(20)), /ELF header/],
    ["32 bits", elfFixture({ patch: (view) => view.setUint8(4, 1) }), /64-bit/],
    ["big endian", elfFixture({ patch: (view) => view.setUint8(5, 2) }), /little-endian/],
    ["arm64", elfFixture({ patch: (view) => view.setUint16(18, 183, true) }), /x86-64/],
    ["not PIE", elfFixture({ patch: (view) => view.setUint16(16, 2, true) }), /ET_DYN/],
    ["odd headers", elfFixture({ patch: (view) => view.setUint16(54, 64, true) }), /64 bytes/],
    [
      "many headers",
      elfFixture({ patch: (view) => view.setUint16(56, 999, true) }),
      /headers extend/,
    ],
    ["cut off", elfFixture().subarray(0, 0x500), /segment extends/],
    [
      "an offset beyond 2^53",
      elfFixture({ patch: (view) => view.setBigUint64(32, 2n ** 60n, true) }),
      /out of range/,
    ],
  ];
  for (const [name, bytes, message] of cases) {
    assert.throws(() => parseElf(bytes), (error) => {
      assert.ok(error instanceof HostError, name);
      assert.match(error.message, message, name);
      return true;
    });
  }
});
