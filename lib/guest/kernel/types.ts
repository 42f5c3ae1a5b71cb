/** What a guest's kernel is, from its own headers. */
export type KernelFormat = ElfKernel | LinuxImage | OtherKernel;

/** @see elf(5) */
export interface ElfKernel {
  kind: "elf";
  bits: 32 | 64;
  /** It is a program (ET_EXEC or ET_DYN), and not an object file or a core. */
  isProgram: boolean;
  /** It has a note with the entry point of Xen's PVH protocol. */
  pvh: boolean;
  /** It has a multiboot header. `ownAddresses`: which says where the file is loaded to. */
  multiboot?: { ownAddresses: boolean };
  /** It is a Solo5 guest. */
  solo5?: Solo5Kernel;
  /** The end in memory of what is loaded of it, in bytes. */
  memoryEnd: number;
}

/** @see include/elf_abi.h and include/mft_abi.h of Solo5 */
export interface Solo5Kernel {
  /** The bindings that it is linked with, as Solo5 names them: `hvt`, `spt`, `virtio`. */
  target: string;
  /** Devices of its manifest, in order; undefined when it has none, or one that cannot be read. */
  devices?: Solo5Device[];
}

/** A device that a Solo5 guest has declared; its tender starts it only when each is there. */
export interface Solo5Device {
  name: string;
  kind: "block" | "network" | "unknown";
}

/** Linux's own compressed form: `arch.linux.imageName`. */
export interface LinuxImage {
  kind: "linuxImage";
  /** The end of the memory that the kernel needs before it runs, in bytes, where it says so. */
  memoryEnd?: number;
}

/** Nothing that any monitor loads. */
export interface OtherKernel {
  kind: "other";
  /** What it seems to be, with its article. */
  what: string;
}

/** Reads a part of a kernel: fewer bytes than asked for at the file's end. */
export type KernelReader = (offset: number, length: number) => Uint8Array;

/** A note of an ELF file. */
export interface ElfNote {
  name: string;
  type: number;
  description: Uint8Array;
}
