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
