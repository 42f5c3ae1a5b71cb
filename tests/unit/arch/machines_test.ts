import assert from "node:assert/strict";
import { ARCHITECTURE_BYTES, foreignArchitecture } from "../../../lib/arch/machines.ts";

/** @param data 1: little-endian, 2: big-endian */
function elf(machine: number, data: 1 | 2 = 1): Uint8Array {
  const head = new Uint8Array(ARCHITECTURE_BYTES);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, data, 1]);
  new DataView(head.buffer).setUint16(18, machine, data === 1);
  return head;
}

function image(magic: number[]): Uint8Array {
  const head = new Uint8Array(ARCHITECTURE_BYTES);
  head.set(magic, 56);
  return head;
}

const CASES: [what: string, head: Uint8Array, architecture: string | undefined][] = [
  ["ELF of x86-64", elf(62), undefined],
  ["ELF of i386, as multiboot kernels are", elf(3), undefined],
  ["ELF of arm64", elf(183), "arm64"],
  ["ELF of s390x, big-endian", elf(22, 2), "s390x"],
  ["ELF of riscv64", elf(243), "riscv64"],
  ["ELF of a processor that nobody knows", elf(4711), "ELF machine 4711"],
  ["half an ELF header", elf(183).subarray(0, 19), undefined],
  ["Linux for arm64", image([0x41, 0x52, 0x4d, 0x64]), "arm64"],
  ["Linux for riscv64", image([0x52, 0x53, 0x43, 0x05]), "riscv64"],
  ["anything else, as a bzImage", image([0, 0, 0, 0]), undefined],
  ["nothing", new Uint8Array(), undefined],
];

for (const [what, head, architecture] of CASES) {
  Deno.test(`${what} is for ${architecture ?? "here, or does not say"}`, () => {
    assert.equal(foreignArchitecture(head), architecture);
  });
}

Deno.test("the fixture guests are for here", () => {
  for (const path of ["fixtures/guests/guest.elf", "fixtures/guests/guest-multiboot.elf"]) {
    const file = Deno.readFileSync(new URL(`../../../${path}`, import.meta.url));
    assert.equal(foreignArchitecture(file.subarray(0, ARCHITECTURE_BYTES)), undefined, path);
  }
});
