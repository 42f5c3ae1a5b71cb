import assert from "node:assert/strict";
import { memoryOverheadBytes, translationBufferMiB } from "../../../../lib/monitor/qemu/memory.ts";
import { qemu } from "../../../../lib/monitor/qemu/qemu.ts";

const MIB = 1024 * 1024;
const guest = { memoryMiB: 256, vcpus: 1, networks: 0, accelerator: "kvm" as const };

Deno.test("memory overhead grows with everything that costs memory", () => {
  const base = memoryOverheadBytes(guest);
  assert.ok(Number.isInteger(base));
  assert.ok(memoryOverheadBytes({ ...guest, memoryMiB: 4096 }) > base);
  assert.ok(memoryOverheadBytes({ ...guest, vcpus: 2 }) > base);
  assert.equal(memoryOverheadBytes({ ...guest, networks: 3 }), base + 3 * MIB);
  assert.ok(memoryOverheadBytes({ ...guest, accelerator: "tcg" }) > base);
  assert.equal(memoryOverheadBytes({ ...guest, kernelBytes: 5 * MIB }), base + 5 * MIB);
});

/** Never less than what was measured: anonymous memory and kernel memory, in MiB. */
const measured = [
  { memoryMiB: 64, accelerator: "kvm", MiB: 16.3 + 1.3 },
  { memoryMiB: 1024, accelerator: "kvm", MiB: 16.6 + 5.7 },
  { memoryMiB: 64, accelerator: "tcg", MiB: 20.2 + 8 + 0.8 },
  { memoryMiB: 1024, accelerator: "tcg", MiB: 20.4 + 32 + 2.8 },
] as const;

for (const { memoryMiB, accelerator, MiB } of measured) {
  Deno.test(`memory overhead of ${memoryMiB} MiB with ${accelerator} covers the measured ${MiB}`, () => {
    const overhead = memoryOverheadBytes({ ...guest, memoryMiB, accelerator }) / MIB;
    assert.ok(overhead > MiB, `${overhead} MiB`);
    assert.ok(overhead < MiB + 20, `${overhead} MiB is wasteful`);
  });
}

Deno.test("memory overhead leaves a guest even in 64 MiB", () => {
  for (const accelerator of ["kvm", "tcg"] as const) {
    const overhead = memoryOverheadBytes({ ...guest, memoryMiB: 64, accelerator, networks: 1 });
    assert.ok(64 * MIB - overhead > 16 * MIB);
  }
});

Deno.test("the translation buffer in argv is the one that is accounted for", () => {
  for (const memoryMiB of [2, 64, 100, 256, 4096]) {
    const argv = qemu.argv({
      binary: "/q",
      kernel: "/k",
      memoryMiB,
      vcpus: 1,
      accelerator: "tcg",
      firmwareDirectories: [],
    });
    assert.ok(argv.includes(`tcg,tb-size=${translationBufferMiB(memoryMiB)}`));
    const difference = memoryOverheadBytes({ ...guest, memoryMiB, accelerator: "tcg" }) -
      memoryOverheadBytes({ ...guest, memoryMiB });
    assert.ok(difference >= translationBufferMiB(memoryMiB) * MIB);
  }
});
