/** Fields of a header of 64 bits, elf(5). */
const HEADER_BYTES = 64;
const MAGIC = 0x464c457f;
const PHOFF = 32;
const PHENTSIZE = 54;
const PHNUM = 56;
const PT_INTERP = 3;
/** Within a program header. */
const P_OFFSET = 8;
const P_FILESZ = 32;
const ENTRY_BYTES = 56;

/** More program headers than a program has, and a longer path than Linux takes. */
const MOST_HEADERS = 64;
const MOST_PATH_BYTES = 4096;

/**
 * Whether a file is an ELF file of any kind.
 *
 * @throws errors of Deno, when it cannot be read
 */
export function isElf(path: string): boolean {
  using file = Deno.openSync(path);
  const header = readAt(file, 0, HEADER_BYTES);
  return header.byteLength === HEADER_BYTES && header.getUint32(0, true) === MAGIC;
}

/**
 * The dynamic linker that the kernel starts a program by.
 *
 * @param path of an ELF file of 64 bits
 * @returns an absolute path; undefined for a program that is linked statically, and for what is no such file
 * @throws errors of Deno, when it cannot be read
 */
export function readInterpreter(path: string): string | undefined {
  using file = Deno.openSync(path);
  const header = readAt(file, 0, HEADER_BYTES);
  if (header.byteLength < HEADER_BYTES || header.getUint32(0, true) !== MAGIC) return undefined;
  const size = header.getUint16(PHENTSIZE, true);
  const count = Math.min(header.getUint16(PHNUM, true), MOST_HEADERS);
  if (size < ENTRY_BYTES) return undefined;
  const table = readAt(file, Number(header.getBigUint64(PHOFF, true)), size * count);
  for (let at = 0; at + ENTRY_BYTES <= table.byteLength; at += size) {
    if (table.getUint32(at, true) !== PT_INTERP) continue;
    const offset = Number(table.getBigUint64(at + P_OFFSET, true));
    const length = Number(table.getBigUint64(at + P_FILESZ, true));
    return textOf(readAt(file, offset, Math.min(length, MOST_PATH_BYTES)));
  }
  return undefined;
}

function readAt(file: Deno.FsFile, offset: number, length: number): DataView<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  file.seekSync(offset, Deno.SeekMode.Start);
  return new DataView(bytes.buffer, 0, file.readSync(bytes) ?? 0);
}

function textOf(view: DataView<ArrayBuffer>): string | undefined {
  const text = new TextDecoder().decode(view).replace(/\0.*$/s, "");
  return text.startsWith("/") ? text : undefined;
}
