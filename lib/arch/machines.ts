import { arch } from "./arch.ts";

/**
 * Bytes of a kernel that identify its processor.
 *
 * @see elf(5); the kernel's Documentation/arch/arm64/booting.rst and arch/riscv/boot-image-header.rst
 */
export const ARCHITECTURE_BYTES = 64;

const ELF_MAGIC = "\x7fELF";
const ELF_DATA = 5;
const ELFDATA2MSB = 2;
const ELF_MACHINE = 18;
/** Names as images have them. */
const MACHINES: Readonly<Record<number, string>> = {
  3: "386",
  20: "ppc",
  21: "ppc64le or ppc64",
  22: "s390x",
  40: "arm",
  62: "amd64",
  183: "arm64",
  243: "riscv64",
  258: "loong64",
};

/** Linux images that are not ELF have their magic here. */
const IMAGE_MAGIC = 56;
const IMAGES: Readonly<Record<string, string>> = { "ARM\x64": "arm64", "RSC\x05": "riscv64" };

/**
 * The processor that a kernel is for, when that is none of ours. What says nothing of it is left to
 * the monitor.
 *
 * @param head the first {@linkcode ARCHITECTURE_BYTES} of the file, or all of it
 */
export function foreignArchitecture(head: Uint8Array): string | undefined {
  const text = (at: number) => String.fromCharCode(...head.subarray(at, at + 4));
  if (text(0) !== ELF_MAGIC) return foreign(IMAGES[text(IMAGE_MAGIC)]);
  if (head.length < ELF_MACHINE + 2) return undefined;
  const isLittleEndian = head[ELF_DATA] !== ELFDATA2MSB;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const machine = view.getUint16(ELF_MACHINE, isLittleEndian);
  if (machine === arch.elfMachine || arch.otherKernelMachines.includes(machine)) return undefined;
  return MACHINES[machine] ?? `ELF machine ${machine}`;
}

function foreign(imageName: string | undefined): string | undefined {
  return imageName === arch.imageName ? undefined : imageName;
}
