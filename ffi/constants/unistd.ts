/**
 * Seeking, closing ranges of descriptors, files in memory.
 * @see lseek(2), close_range(2), memfd_create(2); linux/close_range.h, linux/memfd.h
 * @module
 */

export const SEEK_SET = 0;
export const SEEK_END = 2;

export const CLOSE_RANGE_CLOEXEC = 0x4;

export const MFD_CLOEXEC = 0x1;
export const MFD_ALLOW_SEALING = 0x2;
