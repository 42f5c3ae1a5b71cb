/**
 * The parts of an ELF64 file that the linker needs: program headers, and where the dynamic linker
 * stores the address of an imported symbol. Layouts and values: the ELF gABI chapters "ELF Header",
 * "Program Header", "Dynamic Section", and the System V psABI for x86-64.
 */
import { HostError } from "../errors.ts";

/** `Elf64_Phdr.p_type`. */
export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PT_NOTE = 4;
/** `Elf64_Phdr.p_flags`. */
export const PF_X = 1;
export const PF_R = 4;

const ELF_HEADER_SIZE = 64;
const PROGRAM_HEADER_SIZE = 56;
const SYMBOL_SIZE = 24;
const RELA_SIZE = 24;
const ET_DYN = 3;
const EM_X86_64 = 62;
const DT_STRTAB = 5;
const DT_SYMTAB = 6;
const DT_RELA = 7;
const DT_RELASZ = 8;
const DT_RELAENT = 9;
const R_X86_64_GLOB_DAT = 6;

/** Offset of `e_entry` in the file. */
export const ENTRY_FIELD = 24;

/** `Elf64_Phdr`; offsets, addresses and sizes in bytes. */
export interface ProgramHeader {
  type: number;
  flags: number;
  offset: number;
  address: number;
  fileSize: number;
  memorySize: number;
  align: number;
}

/** A parsed position-independent x86-64 executable. */
export interface ElfFile {
  view: DataView;
  /** Address of the entry point. */
  entry: number;
  /** Offset of the first program header in the file. */
  headersOffset: number;
  headers: ProgramHeader[];
}

/**
 * Parses the ELF header and the program headers.
 * @param bytes the whole file
 * @throws HostError when it is not a little-endian, position-independent x86-64 executable, or is cut off
 */
export function parseElf(bytes: Uint8Array): ElfFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < ELF_HEADER_SIZE || view.getUint32(0) !== 0x7f454c46) {
    throw wrong("the file does not begin with an ELF header");
  }
  if (view.getUint8(4) !== 2 || view.getUint8(5) !== 1) {
    throw wrong("it is not 64-bit little-endian");
  }
  if (view.getUint16(18, true) !== EM_X86_64) throw wrong("it is not for x86-64");
  if (view.getUint16(16, true) !== ET_DYN) {
    throw wrong("it is not position-independent (e_type is not ET_DYN)");
  }
  const headersOffset = read64(view, 32);
  const headerSize = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (headerSize !== PROGRAM_HEADER_SIZE) throw wrong(`a program header has ${headerSize} bytes`);
  if (headersOffset + count * PROGRAM_HEADER_SIZE > bytes.length) {
    throw wrong("the program headers end after the file");
  }
  const headers = Array.from(
    { length: count },
    (_, index) => readProgramHeader(view, headersOffset + index * PROGRAM_HEADER_SIZE),
  );
  for (const header of headers) {
    if (header.offset + header.fileSize > bytes.length) {
      throw wrong("a segment ends after the file");
    }
  }
  return { view, entry: read64(view, ENTRY_FIELD), headersOffset, headers };
}

/**
 * Writes program header `index` back into the file.
 * @param elf the parsed file; its view may be over a longer copy
 */
export function writeProgramHeader(
  elf: Pick<ElfFile, "view" | "headersOffset">,
  index: number,
  header: ProgramHeader,
): void {
  const at = elf.headersOffset + index * PROGRAM_HEADER_SIZE;
  const { view } = elf;
  view.setUint32(at, header.type, true);
  view.setUint32(at + 4, header.flags, true);
  const words = [
    header.offset,
    header.address,
    header.address,
    header.fileSize,
    header.memorySize,
    header.align,
  ];
  words.forEach((word, n) => view.setBigUint64(at + 8 + 8 * n, BigInt(word), true));
}

/**
 * Finds the GOT slot in which the dynamic linker stores the address of an imported symbol
 * (`R_X86_64_GLOB_DAT`, resolved before the entry point runs).
 * @param symbol its name without a version: `environ`
 * @returns the slot's address, relative to where the file is loaded
 * @throws HostError when the file has no such relocation
 */
export function findImportSlot(elf: ElfFile, symbol: string): number {
  const { view } = elf;
  const dynamic = readDynamicSection(elf);
  const required = (tag: number, name: string) => {
    const value = dynamic.get(tag);
    if (value === undefined) throw wrong(`its dynamic section has no ${name}`);
    return value;
  };
  if (required(DT_RELAENT, "DT_RELAENT") !== RELA_SIZE) throw wrong("DT_RELAENT is not 24");
  const size = required(DT_RELASZ, "DT_RELASZ");
  const relocations = fileOffset(elf, required(DT_RELA, "DT_RELA"), size);
  const symbols = required(DT_SYMTAB, "DT_SYMTAB");
  const strings = required(DT_STRTAB, "DT_STRTAB");
  const wanted = new TextEncoder().encode(`${symbol}\0`);
  for (let at = relocations; at < relocations + size; at += RELA_SIZE) {
    // r_info: the type in the lower half, the symbol's index in the upper.
    if (view.getUint32(at + 8, true) !== R_X86_64_GLOB_DAT) continue;
    const entry = symbols + view.getUint32(at + 12, true) * SYMBOL_SIZE;
    const nameOffset = view.getUint32(fileOffset(elf, entry, SYMBOL_SIZE), true);
    const name = fileOffset(elf, strings + nameOffset, wanted.length);
    if (wanted.every((byte, n) => view.getUint8(name + n) === byte)) return read64(view, at);
  }
  throw wrong(`it does not import ${symbol} through the GOT`);
}

function readProgramHeader(view: DataView, at: number): ProgramHeader {
  return {
    type: view.getUint32(at, true),
    flags: view.getUint32(at + 4, true),
    offset: read64(view, at + 8),
    address: read64(view, at + 16),
    fileSize: read64(view, at + 32),
    memorySize: read64(view, at + 40),
    align: read64(view, at + 48),
  };
}

function readDynamicSection(elf: ElfFile): Map<number, number> {
  const header = elf.headers.find((header) => header.type === PT_DYNAMIC);
  if (header === undefined) throw wrong("it has no dynamic section");
  const result = new Map<number, number>();
  for (let at = header.offset; at < header.offset + header.fileSize; at += 16) {
    // Only the small tags matter here; those of the OS and processor ranges do not fit 31 bits.
    const tag = elf.view.getBigInt64(at, true);
    if (tag === 0n) break;
    if (tag <= DT_RELAENT) result.set(Number(tag), read64(elf.view, at + 8));
  }
  return result;
}

/** Where `size` bytes that will be at `address` are in the file. */
function fileOffset(elf: ElfFile, address: number, size: number): number {
  for (const header of elf.headers) {
    if (
      header.type === PT_LOAD && address >= header.address &&
      address + size <= header.address + header.fileSize
    ) {
      return header.offset + (address - header.address);
    }
  }
  throw wrong(`no segment holds the ${size} bytes at address 0x${address.toString(16)}`);
}

function read64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong("a 64-bit field is out of range");
  return Number(value);
}

function wrong(reason: string): HostError {
  return new HostError({ operation: "read executable", reason });
}
