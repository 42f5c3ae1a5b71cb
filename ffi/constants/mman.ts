/**
 * Memory mappings.
 * @see mmap(2); sys/mman.h
 * @module
 */

export const PROT_READ = 0x1;
export const PROT_WRITE = 0x2;
export const PROT_EXEC = 0x4;

export const MAP_PRIVATE = 0x02;
export const MAP_ANONYMOUS = 0x20;

export const MADV_DONTNEED = 4;
