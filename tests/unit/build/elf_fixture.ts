/**
 * A position-independent x86-64 file of the least size that the linker accepts: its headers, the name of an
 * interpreter, two PT_LOADs, a PT_NOTE at the end of the headers.
 */
import {
  type ElfFile,
  type ProgramHeader,
  PT_INTERP,
  PT_LOAD,
  PT_NOTE,
  PT_PHDR,
  writeProgramHeader,
} from "../../../lib/build/elf.ts";

export const ENTRY = 0x2100;
export const INTERPRETER = 0x300;
export const HEADERS_OFFSET = 64;
export const HEADERS_INDEX = 0;
export const INTERPRETER_INDEX = 1;
export const NOTE_INDEX = 4;
/** The address behind the second PT_LOAD's memory, which is longer than its file part. */
export const END_ADDRESS = 0x3800;

const TEXT = { offset: 0, address: 0, size: 0x400 };
const DATA = { offset: 0x400, address: 0x3000, size: 0x234 };

/** What a test may change about the file. */
export interface FixtureOptions {
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
    segment(PT_PHDR, 4, { offset: HEADERS_OFFSET, address: HEADERS_OFFSET, size: 5 * 56 }),
    segment(PT_INTERP, 4, { offset: INTERPRETER, address: INTERPRETER, size: 8 }),
    segment(PT_LOAD, 5, TEXT),
    segment(PT_LOAD, 6, DATA, END_ADDRESS - DATA.address),
    segment(PT_NOTE, 4, { offset: 0x200, address: 0x200, size: 32 }),
  ];
  const chosen = options.headers?.(headers) ?? headers;
  view.setUint16(54, 56, true);
  view.setUint16(56, chosen.length, true);
  const elf: Pick<ElfFile, "view" | "headersOffset"> = { view, headersOffset: HEADERS_OFFSET };
  chosen.forEach((header, index) => writeProgramHeader(elf, index, header));

  bytes.set(new TextEncoder().encode("/ld.so\0"), INTERPRETER);
  options.patch?.(view);
  return bytes;
}
