import assert from "node:assert/strict";
import { readKernelFormat } from "../../../../lib/guest/kernel/format.ts";
import type { KernelFormat } from "../../../../lib/guest/kernel/types.ts";
import {
  makeBzImage,
  makeElf,
  makeManifest,
  makeSolo5,
  multibootHeader,
  type Note,
  pvhNote,
} from "../../../support/kernels.ts";

function read(bytes: Uint8Array): KernelFormat {
  return readKernelFormat((offset, length) => bytes.subarray(offset, offset + length));
}

const MIB = 2 ** 20;
const plain = { kind: "elf", isProgram: true, pvh: false, memoryEnd: MIB + 4096 };

const kernels: [name: string, bytes: Uint8Array, format: unknown][] = [
  ["an ELF of 64 bits", makeElf(), { ...plain, bits: 64 }],
  ["one of 32 bits", makeElf({ bits: 32, machine: 3 }), { ...plain, bits: 32 }],
  ["an object file", makeElf({ type: 1 }), { ...plain, bits: 64, isProgram: false }],
  ["nothing to load", makeElf({ memorySize: 0 }), {
    ...plain,
    bits: 64,
    isProgram: false,
    memoryEnd: 0,
  }],
  ["the note of PVH", makeElf({ notes: [pvhNote] }), { ...plain, bits: 64, pvh: true }],
  ["another's note of that number", makeElf({ notes: [{ ...pvhNote, name: "GNU" }] }), {
    ...plain,
    bits: 64,
  }],
  ["a multiboot header", makeElf({ bits: 32, content: multibootHeader(2) }), {
    ...plain,
    bits: 32,
    multiboot: { ownAddresses: false },
  }],
  ["one with addresses", makeElf({ content: multibootHeader(0x10003) }), {
    ...plain,
    bits: 64,
    multiboot: { ownAddresses: true },
  }],
  ["a multiboot magic by chance", makeElf({ content: multibootHeader(2).with(8, 0x77) }), {
    ...plain,
    bits: 64,
  }],
  [
    "a Solo5 guest",
    makeSolo5("spt", [{ name: "service", kind: "network" }, { name: "storage", kind: "block" }]),
    {
      ...plain,
      bits: 64,
      solo5: {
        target: "spt",
        devices: [{ name: "service", kind: "network" }, { name: "storage", kind: "block" }],
      },
    },
  ],
  ["a Solo5 guest without devices", makeSolo5("hvt"), {
    ...plain,
    bits: 64,
    solo5: { target: "hvt", devices: [] },
  }],
  ["a bzImage", makeBzImage({ initSize: 56 * MIB }), { kind: "linuxImage", memoryEnd: 72 * MIB }],
  ["a bzImage of old", makeBzImage({ version: 0x0209 }), { kind: "linuxImage" }],
];

for (const [name, bytes, format] of kernels) {
  Deno.test(`a kernel that is ${name}`, () => assert.deepEqual(read(bytes), format));
}

Deno.test("what is not a kernel is called by what it seems to be", () => {
  const texts: [content: string, what: RegExp][] = [
    ["", /an empty file/],
    ["\x1f\x8b\x08\x00", /compressed by gzip/],
    ["\xfd7zXZ\0\0", /compressed by xz/],
    ["070701...", /cpio archive/],
    ["#!/bin/sh\n", /a script/],
    ["just words\n", /^a text$/],
    ["\0\0\0\0", /zeros/],
    ["\x01\x02\x03\x04", /unknown form/],
    ["\x7fELF\x02\x02", /damaged ELF/],
    ["\x7fELF\x09\x01", /damaged ELF/],
  ];
  for (const [content, what] of texts) {
    const format = read(Uint8Array.from(content, (it) => it.charCodeAt(0)));
    assert.equal(format.kind, "other");
    assert.match((format as { what: string }).what, what);
  }
});

Deno.test("a manifest that a tender would call invalid is none", () => {
  const manifest = makeManifest([{ name: "a", kind: "block" }]);
  const broken = [
    manifest.subarray(0, 12),
    manifest.subarray(0, manifest.length - 1),
    manifest.with(4, 9), // its version
    manifest.with(8, 0), // no entries
    manifest.with(8, 65),
  ];
  const abi: Note = { name: "Solo5", type: 0x31494241, description: Uint8Array.of(1, 0, 0, 0) };
  for (const description of broken) {
    const notes = [{ name: "Solo5", type: 0x3154464d, description }, abi];
    assert.deepEqual((read(makeElf({ notes })) as { solo5?: unknown }).solo5, { target: "hvt" });
  }
});

Deno.test("no kernel makes its reader fail, whatever is in it", () => {
  const whole = [
    makeSolo5("hvt", [{ name: "service", kind: "network" }]),
    makeElf({ bits: 32, notes: [pvhNote], content: multibootHeader(2) }),
    makeBzImage({ initSize: 1 }),
  ];
  let seed = 1;
  const random = (below: number) => (seed = (seed * 48271) % 2147483647) % below;
  for (const bytes of whole) {
    for (let round = 0; round < 3000; round++) {
      const damaged = bytes.slice(0, random(2) === 0 ? bytes.length : random(bytes.length));
      for (let flips = 0; flips < 4 && damaged.length > 0; flips++) {
        damaged[random(damaged.length)] = [0, 0xff, 0x7f, random(256)][random(4)]!;
      }
      assert.ok(["elf", "linuxImage", "other"].includes(read(damaged).kind));
    }
  }
});
