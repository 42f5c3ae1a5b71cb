import { readSolo5 } from "./solo5.ts";
import type { ElfKernel, ElfNote, KernelReader, OtherKernel } from "./types.ts";

/** Fields of the ELF header, elf(5): of 32 and of 64 bits. */
const CLASS = 4;
const ELFCLASS32 = 1;
const ELFCLASS64 = 2;
const DATA = 5;
const ELFDATA2LSB = 1;
const TYPE = 16;
const ET_EXEC = 2;
const ET_DYN = 3;
const LAYOUT = {
  32: { header: 52, phoff: 28, phentsize: 42, phnum: 44, entry: 32 },
  64: { header: 64, phoff: 32, phentsize: 54, phnum: 56, entry: 56 },
} as const;

const PT_LOAD = 1;
const PT_NOTE = 4;

/** More program headers than any kernel has; what follows is not read. */
const MOST_HEADERS = 128;
/** More than the notes of any kernel: a Solo5 manifest of 64 devices has 7 KiB. */
const MOST_NOTE_BYTES = 64 * 1024;

/** XEN_ELFNOTE_PHYS32_ENTRY: Xen's public/elfnote.h. */
const PVH_NOTE = { name: "Xen", type: 18 };

/** Multiboot Specification 0.6.96, section 3.1.1; MULTIBOOT_AOUT_KLUDGE is bit 16 of the flags. */
const MULTIBOOT_MAGIC = 0x1badb002;
const OWN_ADDRESSES = 1 << 16;

interface ProgramHeader {
  type: number;
  offset: number;
  fileSize: number;
  /** Where its last byte is in physical memory, and one. */
  memoryEnd: number;
  memorySize: number;
}

/**
 * What an ELF file is to a monitor.
 *
 * @param head the file's first bytes, which begin with the magic
 */
export function readElf(head: Uint8Array, read: KernelReader): ElfKernel | OtherKernel {
  const bits = head[CLASS] === ELFCLASS64 ? 64 : 32;
  const isReadable = head[DATA] === ELFDATA2LSB && head.length >= LAYOUT[bits].header &&
    (head[CLASS] === ELFCLASS32 || bits === 64);
  if (!isReadable) return { kind: "other", what: "a damaged ELF file" };
  const headers = programHeaders(head, bits, read);
  const loaded = headers.filter(({ type, memorySize }) => type === PT_LOAD && memorySize > 0);
  const notes = headers.filter(({ type }) => type === PT_NOTE)
    .flatMap(({ offset, fileSize }) =>
      readNotes(read(offset, Math.min(fileSize, MOST_NOTE_BYTES)))
    );
  const type = viewOf(head).getUint16(TYPE, true);
  return {
    kind: "elf",
    bits,
    isProgram: (type === ET_EXEC || type === ET_DYN) && loaded.length > 0,
    pvh: notes.some(({ name, type }) => name === PVH_NOTE.name && type === PVH_NOTE.type),
    ...findMultiboot(head),
    ...readSolo5(notes),
    memoryEnd: Math.max(0, ...loaded.map(({ memoryEnd }) => memoryEnd)),
  };
}

function programHeaders(head: Uint8Array, bits: 32 | 64, read: KernelReader): ProgramHeader[] {
  const layout = LAYOUT[bits];
  const view = viewOf(head);
  const offset = bits === 64
    ? Number(view.getBigUint64(layout.phoff, true))
    : view.getUint32(layout.phoff, true);
  const size = view.getUint16(layout.phentsize, true);
  const count = Math.min(view.getUint16(layout.phnum, true), MOST_HEADERS);
  if (size < layout.entry || !Number.isSafeInteger(offset)) return [];
  const table = read(offset, size * count);
  const whole = Math.floor(table.length / size);
  return Array.from(
    { length: whole },
    (_, index) => programHeader(viewOf(table.subarray(index * size)), bits),
  );
}

/** Elf32_Phdr and Elf64_Phdr of elf(5). */
function programHeader(view: DataView, bits: 32 | 64): ProgramHeader {
  const long = (at: number) => Number(view.getBigUint64(at, true));
  const word = (at: number) => view.getUint32(at, true);
  const [offset, address, fileSize, memorySize] = bits === 64
    ? [long(8), long(24), long(32), long(40)] as const
    : [word(4), word(12), word(16), word(20)] as const;
  return { type: word(0), offset, fileSize, memorySize, memoryEnd: address + memorySize };
}

/** Elf_Nhdr, elf(5): names and descriptions are padded to 4 bytes. */
function readNotes(bytes: Uint8Array): ElfNote[] {
  const notes: ElfNote[] = [];
  const view = viewOf(bytes);
  for (let at = 0; at + 12 <= bytes.length;) {
    const nameAt = at + 12;
    const nameSize = view.getUint32(at, true);
    const descriptionAt = nameAt + padded(nameSize);
    const descriptionSize = view.getUint32(at + 4, true);
    const end = descriptionAt + descriptionSize;
    if (end > bytes.length) break;
    const name = String.fromCharCode(...bytes.subarray(nameAt, nameAt + nameSize));
    notes.push({
      name: name.replace(/\0.*$/s, ""),
      type: view.getUint32(at + 8, true),
      description: bytes.subarray(descriptionAt, end),
    });
    at = descriptionAt + padded(descriptionSize);
  }
  return notes;
}

function padded(size: number): number {
  return Math.ceil(size / 4) * 4;
}

function findMultiboot(head: Uint8Array): Pick<ElfKernel, "multiboot"> {
  const view = viewOf(head);
  for (let at = 0; at + 12 <= head.length; at += 4) {
    if (view.getUint32(at, true) !== MULTIBOOT_MAGIC) continue;
    const flags = view.getUint32(at + 4, true);
    const checksum = view.getUint32(at + 8, true);
    if ((MULTIBOOT_MAGIC + flags + checksum) % 2 ** 32 !== 0) continue;
    return { multiboot: { ownAddresses: (flags & OWN_ADDRESSES) !== 0 } };
  }
  return {};
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
