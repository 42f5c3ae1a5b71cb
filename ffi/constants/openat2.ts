/**
 * How openat2(2) resolves a path.
 * @see openat2(2); linux/openat2.h
 * @module
 */

export const RESOLVE_NO_MAGICLINKS = 0x2;
export const RESOLVE_NO_SYMLINKS = 0x4;
export const RESOLVE_IN_ROOT = 0x10;
