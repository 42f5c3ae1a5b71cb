/**
 * The process's own memory.
 * @module
 */
import * as malloc from "../symbols/malloc.ts";

/**
 * Gives the kernel back what the C library keeps of freed memory.
 *
 * @see malloc_trim(3)
 */
export function mallocTrim(): void {
  malloc.malloc_trim(0n);
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
