/**
 * Filters of system calls.
 * @see seccomp(2); linux/seccomp.h
 * @module
 */

export const SECCOMP_SET_MODE_FILTER = 1;
