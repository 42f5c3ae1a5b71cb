/**
 * A position-independent x86-64 file of the least size that the linker accepts: two PT_LOADs, a dynamic
 * section with one GLOB_DAT relocation for `environ`, a PT_NOTE at the end of the headers.
 */
import {
  type ElfFile,
  type ProgramHeader,
  PT_DYNAMIC,
  PT_LOAD,
  PT_NOTE,
  writeProgramHeader,
} from "../../../lib/pack/elf.ts";

export const ENTRY = 0x2100;
export const SLOT = 0x3040;
export const HEADERS_OFFSET = 64;
export const NOTE_INDEX = 3;
/** The address behind the second PT_LOAD's memory, which is longer than its file part. */
export const END_ADDRESS = 0x3800;

const TEXT = { offset: 0, address: 0, size: 0x400 };
const DATA = { offset: 0x400, address: 0x3000, size: 0x234 };
const DYNAMIC = 0x500;
const SYMBOLS = 0x200;
const STRINGS = 0x280;
const RELOCATIONS = 0x300;

/** What a test may change about the file. */
export interface FixtureOptions {
  symbol?: string;
  relocationType?: number;
  headers?: (headers: ProgramHeader[]) => ProgramHeader[];
  patch?: (view: DataView) => void;
}

export function elfFixture(options: FixtureOptions = {}): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(DATA.offset + DATA.size);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 3, true);
  view.setUint16(18, 62, true);
  view.setBigUint64(24, BigInt(ENTRY), true);
  view.setBigUint64(32, BigInt(HEADERS_OFFSET), true);

  const segment = (
    type: number,
    flags: number,
    place: { offset: number; address: number; size: number },
    memorySize = place.size,
  ): ProgramHeader => ({
    type,
    flags,
    offset: place.offset,
    address: place.address,
    fileSize: place.size,
    memorySize,
    align: 8,
  });
  const headers = [
    segment(PT_LOAD, 5, TEXT),
    segment(PT_LOAD, 6, DATA, END_ADDRESS - DATA.address),
    segment(PT_DYNAMIC, 6, { offset: DYNAMIC, address: 0x3100, size: 96 }),
    segment(PT_NOTE, 4, { offset: 0x1c0, address: 0x1c0, size: 32 }),
  ];
  const chosen = options.headers?.(headers) ?? headers;
  view.setUint16(54, 56, true);
  view.setUint16(56, chosen.length, true);
  const elf: Pick<ElfFile, "view" | "headersOffset"> = { view, headersOffset: HEADERS_OFFSET };
  chosen.forEach((header, index) => writeProgramHeader(elf, index, header));

  // DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_RELAENT, one of the OS's large tags, DT_NULL.
  const tags: [number | bigint, number][] = [
    [0x6ffffef5, 1],
    [5, STRINGS],
    [6, SYMBOLS],
    [7, RELOCATIONS],
    [8, 48],
    [9, 24],
  ];
  tags.forEach(([tag, value], index) => {
    view.setBigUint64(DYNAMIC + 16 * index, BigInt(tag), true);
    view.setBigUint64(DYNAMIC + 16 * index + 8, BigInt(value), true);
  });
  bytes.set(new TextEncoder().encode(`\0environment\0${options.symbol ?? "environ"}\0`), STRINGS);
  view.setUint32(SYMBOLS + 24, 1, true);
  view.setUint32(SYMBOLS + 48, 13, true);
  const relocation = (index: number, slot: number, symbol: number) => {
    const at = RELOCATIONS + 24 * index;
    view.setBigUint64(at, BigInt(slot), true);
    view.setUint32(at + 8, options.relocationType ?? 6, true);
    view.setUint32(at + 12, symbol, true);
  };
  relocation(0, SLOT - 8, 1);
  relocation(1, SLOT, 2);
  options.patch?.(view);
  return bytes;
}
