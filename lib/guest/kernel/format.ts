import { arch } from "../../arch/arch.ts";
import { readElf } from "./elf.ts";
import type { KernelFormat, KernelReader, OtherKernel } from "./types.ts";

/** Of a file's head: a multiboot header is in the first 8192 bytes (Multiboot 0.6.96, section 3.1). */
const HEAD_BYTES = 8192;

const ELF_MAGIC = "\x7fELF";

/** Beginnings of files that people take for kernels. */
const BEGINNINGS: readonly [magic: string, what: string][] = [
  ["\x1f\x8b", "a file compressed by gzip"],
  ["\xfd7zXZ\0", "a file compressed by xz"],
  ["\x28\xb5\x2f\xfd", "a file compressed by zstd"],
  ["BZh", "a file compressed by bzip2"],
  ["070701", "a cpio archive, which an initial RAM disk is"],
  ["070702", "a cpio archive, which an initial RAM disk is"],
  ["hsqs", "a squashfs file system"],
  ["QFI\xfb", "a disk image of QEMU's own format"],
  ["MZ", "a program for EFI or Windows"],
  ["#!", "a script"],
];

/**
 * What a guest's kernel is.
 *
 * @param read never throws for what is in the file, which may be hostile
 */
export function readKernelFormat(read: KernelReader): KernelFormat {
  const head = read(0, HEAD_BYTES);
  if (textOf(head, 0, 4) === ELF_MAGIC) return readElf(head, read);
  const image = arch.linux.readImage(head);
  return image === undefined
    ? { kind: "other", what: whatIs(head) }
    : { kind: "linuxImage", ...image };
}

function whatIs(head: Uint8Array): OtherKernel["what"] {
  if (head.length === 0) return "an empty file";
  const known = BEGINNINGS.find(([magic]) => textOf(head, 0, magic.length) === magic);
  if (known !== undefined) return known[1];
  if (head.every((byte) => byte === 0)) return "a file of zeros";
  return isText(head) ? "a text" : "data of an unknown form";
}

/** Printable ASCII and white space, or bytes of UTF-8. */
function isText(head: Uint8Array): boolean {
  return head.every((byte) =>
    byte >= 0x20 && byte !== 0x7f || byte === 0x09 || byte === 0x0a ||
    byte === 0x0d
  );
}

function textOf(bytes: Uint8Array, at: number, length: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + length));
}
