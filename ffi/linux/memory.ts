/**
 * The process's own memory.
 * @module
 */
import { MADV_DONTNEED } from "../constants/mman.ts";
import { checked } from "../errors.ts";
import * as malloc from "../symbols/malloc.ts";
import * as sysMman from "../symbols/sys_mman.ts";

/**
 * Gives the kernel back what the C library keeps of freed memory.
 *
 * @see malloc_trim(3)
 */
export function mallocTrim(): void {
  malloc.malloc_trim(0n);
}

/**
 * Unmaps pages of a file that is mapped and was never written to. They are mapped again when they are used.
 *
 * @param address of the first page; of memory that is not a file's, the content is lost
 * @param size in bytes
 * @throws LinuxError
 * @see madvise(2), MADV_DONTNEED
 */
export function unmapFilePages(address: bigint, size: number): void {
  const pointer = Deno.UnsafePointer.create(address);
  checked("madvise", undefined, () => sysMman.madvise(pointer, BigInt(size), MADV_DONTNEED));
}

/**
 * Fills memory with zeros.
 *
 * @param address must be this process's, and writable
 * @param size in bytes
 */
export function clearMemory(address: bigint, size: number): void {
  const pointer = Deno.UnsafePointer.create(address);
  if (pointer === null) return;
  new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer, size)).fill(0);
}
