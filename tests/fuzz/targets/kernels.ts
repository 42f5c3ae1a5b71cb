/** Headers of a guest's kernel: ELF, its notes, a Solo5 manifest, bzImage. */
import assert from "node:assert/strict";
import * as fc from "fast-check";
import { foreignArchitecture } from "../../../lib/arch/machines.ts";
import { readKernelFormat } from "../../../lib/guest/kernel/format.ts";
import type { KernelFormat } from "../../../lib/guest/kernel/types.ts";
import {
  makeBzImage,
  makeElf,
  makeSolo5,
  multibootHeader,
  pvhNote,
} from "../../support/kernels.ts";
import { hostileBytes } from "../bytes.ts";
import { target } from "../target.ts";

const DEVICES = [
  { name: "service", kind: "network" as const },
  { name: "storage", kind: "block" as const },
];

/** As a sparse file has it that claims to be of any size. */
function read(bytes: Uint8Array): KernelFormat {
  let most = 0;
  const format = readKernelFormat((offset, length) => {
    most = Math.max(most, length);
    return bytes.subarray(offset, offset + length);
  });
  // What is asked for is held in memory.
  assert.ok(most <= 16 * 2 ** 20, `${most} bytes are asked for`);
  return format;
}

const device = fc.record({
  name: fc.stringMatching(/^[a-z0-9]{1,67}$/),
  kind: fc.constantFrom("network" as const, "block" as const),
}, { noNullPrototype: true });

export const KERNELS = [
  target({
    name: "kernel headers",
    weight: 7,
    inputs: hostileBytes(
      makeSolo5("hvt", DEVICES),
      makeElf({ bits: 32, notes: [pvhNote], content: multibootHeader(2) }),
      makeElf({ notes: [pvhNote, { name: "GNU", type: 3, description: new Uint8Array(70_000) }] }),
      makeBzImage({ initSize: 1 }),
    ),
    check(bytes) {
      foreignArchitecture(bytes);
      const format = read(bytes);
      assert.ok(["elf", "linuxImage", "other"].includes(format.kind));
      if (format.kind === "elf") {
        assert.ok(format.memoryEnd >= 0, `it ends at ${format.memoryEnd}`);
        assert.ok((format.solo5?.devices?.length ?? 0) <= 64);
      }
    },
  }),
  target({
    name: "kernel headers, valid",
    weight: 2,
    inputs: fc.record({
      tender: fc.constantFrom("hvt" as const, "spt" as const),
      devices: fc.uniqueArray(device, { maxLength: 63, selector: ({ name }) => name }),
      initSize: fc.nat(2 ** 30),
    }),
    check({ tender, devices, initSize }) {
      const format = read(makeSolo5(tender, devices));
      assert.ok(format.kind === "elf");
      assert.deepEqual(format.solo5, { target: tender, devices });
      const image = read(makeBzImage({ initSize, preferred: 2 ** 24 }));
      assert.deepEqual(image, { kind: "linuxImage", memoryEnd: 2 ** 24 + initSize });
    },
  }),
];
