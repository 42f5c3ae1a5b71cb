import { HostError } from "../errors.ts";
import {
  type ElfFile,
  ENTRY_FIELD,
  parseElf,
  PF_R,
  PF_X,
  PROGRAM_HEADER_SIZE,
  type ProgramHeader,
  PT_INTERP,
  PT_LOAD,
  PT_NOTE,
  PT_NULL,
  PT_PHDR,
  writeProgramHeader,
} from "./elf.ts";

const PAGE = 4096;

/** Layout of `struct parameters` in stub/stub.c; the entry point follows it. */
export const STUB_MAGIC = "urunc\0\0\x01";
const STUB_PARAMETERS_SIZE = 80;

/** What goes into one executable. */
export interface LinkInput {
  /** Deno's own executable. */
  base: Uint8Array;
  /** Machine code of stub/stub.c. */
  stub: Uint8Array;
  /** One JavaScript module without imports, which Deno runs. */
  loader: Uint8Array;
  /** What the loader runs, where it is mapped. */
  program: Uint8Array;
  /** Put at the end of the file, before its length in 4 bytes; read only for stack traces. */
  traces: Uint8Array;
  /** `argv[0]` and what precedes the path of the bundle in Deno's arguments. */
  arguments: readonly string[];
  /** `NAME=VALUE`, set in every run. */
  environment: readonly string[];
  /** Prefixes of the `NAME=VALUE` that are not passed on. */
  dropped: readonly string[];
}

/**
 * Appends the stub, its tables, the loader and the program to the base as one more segment, and makes the stub the
 * entry point. The header of the notes segment, which nothing reads at run time, becomes the header of
 * the new one, so no byte of the base moves. The interpreter's header becomes PT_NULL, or the kernel would
 * start ld.so before the stub; ld.so gets a copy of the headers that still has it.
 * Pure: the same input gives the same bytes.
 * @returns the whole executable file
 * @throws HostError when the base is not an executable of the expected form
 */
export function link(input: LinkInput): Uint8Array<ArrayBuffer> {
  const elf = parseElf(input.base);
  const noteIndex = findReplaceableNote(elf);
  const segmentOffset = roundUp(input.base.length, PAGE);
  const segmentAddress = roundUp(
    Math.max(...loads(elf).map((header) => header.address + header.memorySize)),
    PAGE,
  );
  const interpreter = findOne(elf, PT_INTERP, "PT_INTERP");
  const self = findOne(elf, PT_PHDR, "PT_PHDR");
  const header: ProgramHeader = {
    type: PT_LOAD,
    flags: PF_R | PF_X,
    offset: segmentOffset,
    address: segmentAddress,
    fileSize: 0,
    memorySize: 0,
    align: PAGE,
  };
  const { segment, headersOffset } = layOutSegment(input, elf.headers.length, {
    entry: elf.entry - segmentAddress,
    interpreter: elf.headers[interpreter]!.address - segmentAddress,
  });
  header.fileSize = header.memorySize = segment.length;
  const shown = elf.headers.with(noteIndex, header).with(self, {
    ...elf.headers[self]!,
    offset: segmentOffset + headersOffset,
    address: segmentAddress + headersOffset,
  });
  writeHeaders(segment, headersOffset, shown);

  const tracesOffset = segmentOffset + segment.length;
  const result = new Uint8Array(tracesOffset + input.traces.length + 4);
  result.set(input.base);
  result.set(segment, segmentOffset);
  result.set(input.traces, tracesOffset);
  const view = new DataView(result.buffer);
  view.setUint32(result.length - 4, input.traces.length, true);
  const file = { view, headersOffset: elf.headersOffset };
  writeProgramHeader(file, noteIndex, header);
  writeProgramHeader(file, interpreter, { ...elf.headers[interpreter]!, type: PT_NULL });
  view.setBigUint64(ENTRY_FIELD, BigInt(segmentAddress + STUB_PARAMETERS_SIZE), true);
  return result;
}

/**
 * Makes the new segment: parameters and code, tables, room for the program headers, loader, program.
 * @param distances from the start of the segment, in bytes
 */
function layOutSegment(
  input: LinkInput,
  headersCount: number,
  distances: { entry: number; interpreter: number },
): { segment: Uint8Array; headersOffset: number } {
  checkStub(input.stub);
  const tables = [input.arguments, input.environment, input.dropped].map(encodeTable);
  const offsets: number[] = [];
  let end = input.stub.length;
  for (const table of tables) {
    offsets.push(end);
    end += table.length;
  }
  const headersOffset = roundUp(end, 16);
  const bundleOffset = roundUp(headersOffset + headersCount * PROGRAM_HEADER_SIZE, 16);
  const programOffset = roundUp(bundleOffset + input.loader.length, 16);
  const segment = new Uint8Array(programOffset + input.program.length);
  segment.set(input.stub);
  tables.forEach((table, index) => segment.set(table, offsets[index]));
  segment.set(input.loader, bundleOffset);
  segment.set(input.program, programOffset);

  const view = new DataView(segment.buffer);
  view.setBigInt64(8, BigInt(distances.entry), true);
  view.setBigInt64(16, BigInt(distances.interpreter), true);
  view.setBigUint64(24, BigInt(bundleOffset), true);
  view.setBigUint64(32, BigInt(input.loader.length), true);
  view.setBigUint64(40, BigInt(programOffset), true);
  [input.arguments, input.environment, input.dropped].forEach((table, index) => {
    view.setUint32(48 + 8 * index, offsets[index] ?? 0, true);
    view.setUint32(52 + 8 * index, table.length, true);
  });
  view.setUint32(72, headersOffset, true);
  view.setUint32(76, headersCount, true);
  return { segment, headersOffset };
}

function writeHeaders(segment: Uint8Array, headersOffset: number, headers: ProgramHeader[]): void {
  const view = new DataView(segment.buffer);
  headers.forEach((header, index) => writeProgramHeader({ view, headersOffset }, index, header));
}

/** The index of the only program header of a type. */
function findOne(elf: ElfFile, type: number, name: string): number {
  const index = elf.headers.findIndex((header) => header.type === type);
  if (index < 0) {
    throw new HostError({
      operation: "link executable",
      reason: `the base has no ${name} program header`,
      remedy: "use the Deno executable of the npm package",
    });
  }
  return index;
}

function checkStub(stub: Uint8Array): void {
  const magic = String.fromCharCode(...stub.subarray(0, STUB_MAGIC.length));
  const rest = stub.subarray(STUB_MAGIC.length, STUB_PARAMETERS_SIZE);
  if (
    magic !== STUB_MAGIC || stub.length <= STUB_PARAMETERS_SIZE || rest.some((byte) => byte !== 0)
  ) {
    throw new HostError({
      operation: "link executable",
      reason: "the stub does not begin with an empty parameter block",
      remedy: "deno task native",
    });
  }
}

/** C strings, one after the other. */
function encodeTable(table: readonly string[]): Uint8Array {
  for (const text of table) {
    if (text.includes("\0")) {
      throw new HostError({
        operation: "link executable",
        subject: JSON.stringify(text),
        reason: "a table entry holds a NUL character",
      });
    }
  }
  return new TextEncoder().encode(table.map((text) => `${text}\0`).join(""));
}

/** PT_LOAD headers must stand in the order of their addresses, so the note must come after all of them. */
function findReplaceableNote(elf: ElfFile): number {
  const lastLoad = elf.headers.findLastIndex((header) => header.type === PT_LOAD);
  const note = elf.headers.findIndex((header, index) =>
    header.type === PT_NOTE && index > lastLoad
  );
  if (lastLoad < 0 || note < 0) {
    throw new HostError({
      operation: "link executable",
      reason: "the base has no PT_NOTE program header after its last PT_LOAD",
      remedy: "use the Deno executable of the npm package",
    });
  }
  return note;
}

function loads(elf: ElfFile) {
  return elf.headers.filter((header) => header.type === PT_LOAD);
}

function roundUp(value: number, unit: number): number {
  return Math.ceil(value / unit) * unit;
}
