/** How many bytes of a file {@linkcode isInitramfs} needs. */
export const FORMAT_BYTES = 6;

/**
 * How archives begin, plain or compressed: Linux's lib/decompress.c, and init/initramfs.c for cpio's.
 * Compressed file systems begin like this as well, but are hardly used any more.
 */
const BEGINNINGS: readonly number[][] = [
  [...new TextEncoder().encode("070701")],
  [...new TextEncoder().encode("070702")],
  [0x1f, 0x8b], // gzip
  [0x1f, 0x9e], // gzip, older
  [0x42, 0x5a], // bzip2
  [0x5d, 0x00], // LZMA
  [0xfd, 0x37], // XZ
  [0x89, 0x4c], // LZO
  [0x02, 0x21], // LZ4
  [0x28, 0xb5], // Zstandard
];

/**
 * Whether an initial RAM disk is an archive that Linux unpacks, so that another can be prepended;
 * otherwise it is a file system, which Linux mounts.
 *
 * @param head the first {@linkcode FORMAT_BYTES} of the file, or all of it
 */
export function isInitramfs(head: Uint8Array): boolean {
  return BEGINNINGS.some((beginning) => beginning.every((byte, index) => head[index] === byte));
}
