/** Offsets in a bzImage: Documentation/arch/x86/boot.rst of Linux, "The Real-Mode Kernel Header". */
const BOOT_FLAG = 0x1fe;
const HEADER_MAGIC = 0x202;
const VERSION = 0x206;
const PREFERRED_ADDRESS = 0x258;
const INIT_SIZE = 0x260;
const HEADER_END = 0x264;
const BOOT_FLAG_VALUE = 0xaa55;
const MAGIC = "HdrS";
/** The protocol's version since which a kernel says how much memory it needs. */
const WITH_INIT_SIZE = 0x020a;

/**
 * Reads the header of a bzImage.
 *
 * @param head the file's first bytes
 * @returns undefined for any other file; `memoryEnd` is where the memory ends that the kernel needs until
 *   it can move, in bytes, where it says so
 */
export function readBzImage(head: Uint8Array): { memoryEnd?: number } | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (head.length < HEADER_END || view.getUint16(BOOT_FLAG, true) !== BOOT_FLAG_VALUE) {
    return undefined;
  }
  const magic = head.subarray(HEADER_MAGIC, HEADER_MAGIC + MAGIC.length);
  if (String.fromCharCode(...magic) !== MAGIC) return undefined;
  if (view.getUint16(VERSION, true) < WITH_INIT_SIZE) return {};
  // It unpacks itself no lower than there (arch/x86/boot/compressed/head_64.S).
  const start = Number(view.getBigUint64(PREFERRED_ADDRESS, true));
  return { memoryEnd: start + view.getUint32(INIT_SIZE, true) };
}

/** Fields since version 2.00, and since 2.08: SETUP_SECTS in sectors, the others in bytes. */
const SETUP_SECTS = 0x1f1;
const KERNEL_VERSION = 0x20e;
const PAYLOAD_OFFSET = 0x248;
const PAYLOAD_LENGTH = 0x24c;
const WITH_PAYLOAD = 0x0208;
const SECTOR_BYTES = 512;
/** What 0 stands for. */
const DEFAULT_SETUP_SECTS = 4;

/**
 * Reads what a bzImage says of the kernel in it.
 *
 * @param head the file's first bytes: all of its real-mode code, which has at most 32 KiB
 * @returns undefined for any other file; the kernel's release, as uname(2) has it, and where in the file
 *   its compressed ELF file is, where the header says so
 */
export function readBzImageContent(
  head: Uint8Array,
): { release?: string; payload?: { offset: number; length: number } } | undefined {
  if (readBzImage(head) === undefined) return undefined;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const text = view.getUint16(KERNEL_VERSION, true);
  const release = text === 0 ? undefined : firstWord(head.subarray(text + 0x200));
  if (view.getUint16(VERSION, true) < WITH_PAYLOAD) return { release };
  const sectors = (head[SETUP_SECTS] || DEFAULT_SETUP_SECTS) + 1;
  const offset = sectors * SECTOR_BYTES + view.getUint32(PAYLOAD_OFFSET, true);
  return { release, payload: { offset, length: view.getUint32(PAYLOAD_LENGTH, true) } };
}

/** `6.12.1 (builder@host) #1 SMP …` */
function firstWord(bytes: Uint8Array): string | undefined {
  const [word = ""] = String.fromCharCode(...bytes.subarray(0, 256)).split(/[ \0]/, 1);
  return word === "" ? undefined : word;
}
