import type { ElfKernel, ElfNote, Solo5Device, Solo5Kernel } from "./types.ts";

/** What Solo5's notes are called. */
const NAME = "Solo5";
/** ABI1_NOTE_TYPE and `enum abi_target`, include/elf_abi.h. */
const ABI_NOTE = 0x31494241;
const TARGETS = ["hvt", "spt", "virtio", "muen", "genode", "xen"];

/** MFT1_NOTE_TYPE, MFT_VERSION, MFT_MAX_ENTRIES and `struct mft`, include/mft_abi.h. */
const MANIFEST_NOTE = 0x3154464d;
const MANIFEST_VERSION = 1;
const MOST_ENTRIES = 64;
/** The structure is aligned to 8 bytes in the note, whose header has 20. */
const PADDING = 4;
const HEADER = 8;
const ENTRY = 104;
const NAME_BYTES = 68;
const TYPE = 68;
const KINDS: Readonly<Record<number, Solo5Device["kind"]>> = { 1: "block", 2: "network" };
/** MFT_RESERVED_FIRST: not a device; every manifest begins with one. */
const RESERVED = 2 ** 30;

/**
 * The command line of every Solo5 guest, the closing NUL included: HVT_CMDLINE_SIZE, SPT_CMDLINE_SIZE
 * (include/hvt_abi.h, spt_abi.h), and `cmdline` in bindings/virtio/platform.c.
 */
export const SOLO5_COMMAND_LINE_BYTES = 8192;

/** What an ELF file's notes say of a Solo5 guest; nothing for other files. */
export function readSolo5(notes: ElfNote[]): Pick<ElfKernel, "solo5"> {
  const find = (wanted: number) =>
    notes.find(({ name, type }) => name === NAME && type === wanted)?.description;
  const abi = find(ABI_NOTE);
  if (abi === undefined || abi.length < 4) return {};
  const number = viewOf(abi).getUint32(0, true);
  const target = TARGETS[number - 1] ?? `target ${number}`;
  const manifest = find(MANIFEST_NOTE);
  const devices = manifest === undefined ? undefined : readManifest(manifest.subarray(PADDING));
  const solo5: Solo5Kernel = { target, ...(devices === undefined ? {} : { devices }) };
  return { solo5 };
}

/** @returns undefined for what a tender would call invalid (mft_validate, tenders/common/mft.c) */
function readManifest(bytes: Uint8Array): Solo5Device[] | undefined {
  if (bytes.length < HEADER) return undefined;
  const view = viewOf(bytes);
  const entries = view.getUint32(4, true);
  if (view.getUint32(0, true) !== MANIFEST_VERSION || entries < 1 || entries > MOST_ENTRIES) {
    return undefined;
  }
  if (bytes.length !== HEADER + entries * ENTRY) return undefined;
  const all = Array.from({ length: entries }, (_, index) => {
    const at = HEADER + index * ENTRY;
    const name = String.fromCharCode(...bytes.subarray(at, at + NAME_BYTES));
    return { name: name.replace(/\0.*$/s, ""), type: view.getUint32(at + TYPE, true) };
  });
  return all.filter(({ type }) => type < RESERVED)
    .map(({ name, type }) => ({ name, kind: KINDS[type] ?? "unknown" }));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
