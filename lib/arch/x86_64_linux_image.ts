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
