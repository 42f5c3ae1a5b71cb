/**
 * The parts of an ELF64 file that the linker needs: its program headers. Layouts and values: the ELF gABI
 * chapters "ELF Header" and "Program Header".
 */
import { arch } from "../arch/arch.ts";
import { HostError } from "../errors.ts";

/** `Elf64_Phdr.p_type`. */
export const PT_NULL = 0;
export const PT_LOAD = 1;
export const PT_INTERP = 3;
export const PT_NOTE = 4;
export const PT_PHDR = 6;
/** `Elf64_Phdr.p_flags`. */
export const PF_X = 1;
export const PF_R = 4;

const ELF_HEADER_SIZE = 64;
/** Bytes. */
export const PROGRAM_HEADER_SIZE = 56;
const ET_DYN = 3;

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

/** A parsed position-independent executable. */
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
 * @throws HostError when it is not a position-independent executable for this architecture, or is truncated
 */
export function parseElf(bytes: Uint8Array): ElfFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < ELF_HEADER_SIZE || view.getUint32(0) !== 0x7f454c46) {
    throw wrong("the file does not begin with an ELF header");
  }
  if (view.getUint8(4) !== 2 || view.getUint8(5) !== 1) {
    throw wrong("it is not 64-bit little-endian");
  }
  if (view.getUint16(18, true) !== arch.elfMachine) throw wrong(`it is not for ${arch.name}`);
  if (view.getUint16(16, true) !== ET_DYN) {
    throw wrong("it is not position-independent (e_type is not ET_DYN)");
  }
  const headersOffset = read64(view, 32);
  const headerSize = view.getUint16(54, true);
  const count = view.getUint16(56, true);
  if (headerSize !== PROGRAM_HEADER_SIZE) throw wrong(`a program header has ${headerSize} bytes`);
  if (headersOffset + count * PROGRAM_HEADER_SIZE > bytes.length) {
    throw wrong("the program headers extend beyond the file");
  }
  const headers = Array.from(
    { length: count },
    (_, index) => readProgramHeader(view, headersOffset + index * PROGRAM_HEADER_SIZE),
  );
  for (const header of headers) {
    if (header.offset + header.fileSize > bytes.length) {
      throw wrong("a segment extends beyond the file");
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

function read64(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw wrong("a 64-bit field is out of range");
  return Number(value);
}

function wrong(reason: string): HostError {
  return new HostError({ operation: "read executable", reason });
}
