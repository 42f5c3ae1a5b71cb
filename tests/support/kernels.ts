/** Kernels that say what they are in their headers, and do nothing: for monitors that are a double. */
import type { Solo5Device } from "../../lib/guest/kernel/types.ts";

/** A note of an ELF file: elf(5). */
export interface Note {
  name: string;
  type: number;
  description: Uint8Array;
}

/** What an ELF file differs in from the plainest one. */
export interface ElfOptions {
  bits?: 32 | 64;
  /** 62, x86-64 by default. */
  machine?: number;
  /** 2, ET_EXEC by default. */
  type?: number;
  notes?: Note[];
  /** Put into the first bytes after the headers, at a multiple of 4. */
  content?: Uint8Array;
  /** Bytes of memory at 1 MiB; 4096 by default. */
  memorySize?: number;
}

const LOAD_ADDRESS = 0x100000;

/** The bytes of an ELF file with one segment to load, and one of notes. */
export function makeElf(options: ElfOptions = {}): Uint8Array<ArrayBuffer> {
  const { bits = 64, machine = 62, type = 2, content = new Uint8Array(), memorySize = 4096 } =
    options;
  const notes = joined((options.notes ?? []).map(makeNote));
  const [header, entry] = bits === 64 ? [64, 56] : [52, 32];
  const contentAt = header + 2 * entry;
  const notesAt = contentAt + Math.ceil(content.length / 4) * 4;
  const bytes = new Uint8Array(notesAt + notes.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, 1, 1]);
  view.setUint16(16, type, true);
  view.setUint16(18, machine, true);
  view.setUint32(20, 1, true);
  const long = (at: number, value: number) =>
    bits === 64 ? view.setBigUint64(at, BigInt(value), true) : view.setUint32(at, value, true);
  long(24, LOAD_ADDRESS);
  long(bits === 64 ? 32 : 28, header);
  view.setUint16(bits === 64 ? 52 : 40, header, true);
  view.setUint16(bits === 64 ? 54 : 42, entry, true);
  view.setUint16(bits === 64 ? 56 : 44, 2, true);
  const segment = (index: number, kind: number, at: number, file: number, memory: number) => {
    const start = header + index * entry;
    view.setUint32(start, kind, true);
    const fields = bits === 64 ? [8, 16, 24, 32, 40] : [4, 8, 12, 16, 20];
    [at, LOAD_ADDRESS, LOAD_ADDRESS, file, memory].forEach((value, field) =>
      long(start + fields[field]!, value)
    );
  };
  segment(0, 1, contentAt, content.length, memorySize);
  segment(1, 4, notesAt, notes.length, notes.length);
  bytes.set(content, contentAt);
  bytes.set(notes, notesAt);
  return bytes;
}

function makeNote({ name, type, description }: Note): Uint8Array {
  const padded = (length: number) => Math.ceil(length / 4) * 4;
  const text = new TextEncoder().encode(`${name}\0`);
  const bytes = new Uint8Array(12 + padded(text.length) + padded(description.length));
  const view = new DataView(bytes.buffer);
  [text.length, description.length, type].forEach((it, index) =>
    view.setUint32(index * 4, it, true)
  );
  bytes.set(text, 12);
  bytes.set(description, 12 + padded(text.length));
  return bytes;
}

/** Xen's public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY. */
export const pvhNote: Note = { name: "Xen", type: 18, description: words(LOAD_ADDRESS) };

/** Multiboot 0.6.96, section 3.1. */
export function multibootHeader(flags: number): Uint8Array {
  const magic = 0x1badb002;
  return words(magic, flags, (2 ** 33 - magic - flags) % 2 ** 32);
}

/** A Solo5 guest of these bindings: include/elf_abi.h and mft_abi.h. */
export function makeSolo5(
  target: "hvt" | "spt" | "virtio",
  devices: Solo5Device[] = [],
): Uint8Array<ArrayBuffer> {
  const number = ["hvt", "spt", "virtio"].indexOf(target) + 1;
  return makeElf({
    notes: [
      { name: "Solo5", type: 0x3154464d, description: makeManifest(devices) },
      { name: "Solo5", type: 0x31494241, description: words(number, 2, 0, 0) },
    ],
  });
}

/** The content of a manifest's note. */
export function makeManifest(devices: Solo5Device[]): Uint8Array {
  const entry = (name: string, type: number) => {
    const bytes = new Uint8Array(104);
    bytes.set(new TextEncoder().encode(name));
    new DataView(bytes.buffer).setUint32(68, type, true);
    return bytes;
  };
  const kinds = { block: 1, network: 2, unknown: 77 };
  return joined([
    words(0, 1, devices.length + 1),
    entry("", 2 ** 30),
    ...devices.map(({ name, kind }) => entry(name, kinds[kind])),
  ]);
}

/** A bzImage's header: Documentation/arch/x86/boot.rst of Linux. */
export function makeBzImage(
  { initSize = 0, preferred = 2 ** 24, version = 0x020f } = {},
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x1fe, 0xaa55, true);
  bytes.set(new TextEncoder().encode("HdrS"), 0x202);
  view.setUint16(0x206, version, true);
  view.setBigUint64(0x258, BigInt(preferred), true);
  view.setUint32(0x260, initSize, true);
  return bytes;
}

function words(...values: number[]): Uint8Array {
  const bytes = new Uint8Array(values.length * 4);
  const view = new DataView(bytes.buffer);
  values.forEach((value, index) => view.setUint32(index * 4, value, true));
  return bytes;
}

function joined(parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
