/**
 * File types and mode bits; what statx(2) is asked for.
 * @see inode(7), statx(2); linux/stat.h
 * @module
 */

export const S_IFMT = 0o170000;
export const S_IFSOCK = 0o140000;
export const S_IFLNK = 0o120000;
export const S_IFREG = 0o100000;
export const S_IFBLK = 0o60000;
export const S_IFDIR = 0o40000;
export const S_IFCHR = 0o20000;
export const S_IFIFO = 0o10000;

export const STATX_BASIC_STATS = 0x7ff;
