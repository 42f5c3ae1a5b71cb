import assert from "node:assert/strict";
import { InvalidConfigurationError } from "../../../lib/errors.ts";
import { guestOf } from "../../../lib/guest/families/registry.ts";
import { readKernelFormat } from "../../../lib/guest/kernel/format.ts";
import type { UnikernelType } from "../../../lib/guest/types.ts";
import { monitorByName } from "../../../lib/monitor/registry.ts";
import { bootMemoryBytes, requireBootFiles, requireKernel } from "../../../lib/plan/kernel.ts";
import {
  makeBzImage,
  makeElf,
  makeSolo5,
  multibootHeader,
  pvhNote,
} from "../../support/kernels.ts";
import { factsOf } from "../../support/plan_inputs.ts";

function formatOf(bytes: Uint8Array) {
  return readKernelFormat((offset, length) => bytes.subarray(offset, offset + length));
}

interface Judged {
  monitor: string;
  type?: UnikernelType;
  kernel: Uint8Array;
  version?: string;
}

function judge({ monitor, type = "elf", kernel, version }: Judged): void {
  const facts = factsOf({ kernelFormat: formatOf(kernel) });
  facts.kernel.path = "/boot/kernel";
  facts.monitor.version = version;
  requireKernel({ facts, guest: guestOf(type), monitor: monitorByName(monitor) });
}

const kernels = {
  text: new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n"),
  object: makeElf({ type: 1 }),
  elf32: makeElf({ bits: 32, machine: 3 }),
  elf64: makeElf(),
  pvh: makeElf({ notes: [pvhNote] }),
  multiboot32: makeElf({ bits: 32, content: multibootHeader(2) }),
  multiboot64: makeElf({ content: multibootHeader(2) }),
  addressed64: makeElf({ content: multibootHeader(0x10003) }),
  bzImage: makeBzImage(),
  hvt: makeSolo5("hvt"),
  spt: makeSolo5("spt"),
  virtio: makeSolo5("virtio"),
};

/** True, or what is said. */
const cases: [
  judged: Omit<Judged, "kernel"> & { kernel: keyof typeof kernels },
  says: true | RegExp,
][] = [
  [
    { monitor: "qemu", kernel: "text" },
    /it is a text; QEMU starts a bzImage, an ELF kernel with a/,
  ],
  [{ monitor: "hvt", kernel: "text" }, /it is a text; Solo5 hvt starts Solo5 guests for hvt/],
  [
    { monitor: "firecracker", type: "linux", kernel: "text" },
    /it is a text; Firecracker starts an/,
  ],
  [{ monitor: "qemu", kernel: "object" }, /an ELF file that is not a program/],
  [{ monitor: "qemu", kernel: "pvh" }, true],
  [{ monitor: "qemu", kernel: "multiboot32" }, true],
  [{ monitor: "qemu", kernel: "addressed64" }, true],
  [
    { monitor: "qemu", kernel: "multiboot64" },
    /multiboot kernel of 64 bits.*objcopy -O elf32-i386/,
  ],
  [{ monitor: "qemu", kernel: "elf64" }, /64 bits with neither a PVH note nor.*CONFIG_PVH/],
  [{ monitor: "qemu", kernel: "elf32" }, /32 bits with neither a PVH note/],
  [{ monitor: "qemu", kernel: "hvt" }, /a Solo5 guest for hvt.*use hvt/],
  [{ monitor: "qemu", kernel: "bzImage" }, /a bzImage, a Linux kernel, and .*unikernelType is elf/],
  [{ monitor: "qemu", type: "linux", kernel: "bzImage" }, true],
  [{ monitor: "qemu", type: "linux", kernel: "pvh" }, true],
  [{ monitor: "firecracker", type: "linux", kernel: "elf64" }, true],
  [{ monitor: "firecracker", type: "linux", kernel: "elf32" }, /an ELF file of 32 bits/],
  [
    { monitor: "firecracker", type: "linux", kernel: "bzImage" },
    /a bzImage, and this is Firecracker of an unknown version;.*vmlinux.*Firecracker 1\.17/,
  ],
  [
    { monitor: "firecracker", type: "linux", kernel: "bzImage", version: "1.16.1" },
    /this is Firecracker 1\.16\.1/,
  ],
  [{ monitor: "firecracker", type: "linux", kernel: "bzImage", version: "1.17.0" }, true],
  [{ monitor: "firecracker", type: "linux", kernel: "bzImage", version: "2.0.0" }, true],
  [{ monitor: "hvt", kernel: "hvt" }, true],
  [{ monitor: "spt", kernel: "spt" }, true],
  [{ monitor: "hvt", kernel: "spt" }, /a Solo5 guest for spt; .*use spt/],
  [{ monitor: "spt", kernel: "virtio" }, /a Solo5 guest for virtio; .*use qemu/],
  [{ monitor: "spt", kernel: "pvh" }, /not a Solo5 guest: it has no note \.note\.solo5\.abi/],
];

for (const [judged, says] of cases) {
  const { monitor, type = "elf", kernel, version = "" } = judged;
  Deno.test(`${kernel} as ${type} for ${monitor} ${version}: ${says === true ? "is started" : "is refused"}`, () => {
    const call = () => judge({ ...judged, kernel: kernels[kernel] });
    if (says === true) return call();
    assert.throws(call, (error) => {
      assert.ok(error instanceof InvalidConfigurationError);
      assert.match(error.message, /^read the guest's kernel \/boot\/kernel: it is /);
      assert.match(error.message, says);
      return true;
    });
  });
}

Deno.test("what a kernel needs before its guest runs is in its header", () => {
  const MIB = 2 ** 20;
  const bzImage = formatOf(makeBzImage({ initSize: 56 * MIB }));
  assert.equal(bootMemoryBytes(bzImage, 9 * MIB, 3 * MIB), 75 * MIB);
  assert.equal(bootMemoryBytes(bzImage, 1500 * MIB, 3 * MIB), 1503 * MIB);
  assert.equal(bootMemoryBytes(formatOf(makeElf({ memorySize: 9 * MIB })), 900 * MIB, 0), 10 * MIB);
  const silent = formatOf(makeBzImage({ version: 0x0200 }));
  assert.equal(bootMemoryBytes(silent, 9 * MIB, 3 * MIB), 12 * MIB);
});

Deno.test("a kernel or RAM disk that is larger than the operator allows is refused by its name", () => {
  const configuration = { maximum_boot_file_mib: 100 };
  const check = (kernel: number, initrd?: number) => {
    const file = { path: "/boot/file", uid: 0, gid: 0, mode: 0o644 };
    const facts = factsOf({
      kernel: { ...file, size: kernel },
      ...(initrd === undefined ? {} : { initrd: { ...file, size: initrd } }),
    });
    requireBootFiles({ facts, configuration });
  };
  const most = 100 * 2 ** 20;
  check(most);
  check(most, most);
  const large = /boot files \/boot\/file: it has 104857601 bytes, and maximum_boot_file_mib/;
  assert.throws(() => check(most + 1), large);
  assert.throws(() => check(most, most + 1), large);
});
