/**
 * @see poll(2); asm-generic/poll.h
 * @module
 */

export const POLLIN = 0x1;
export const POLLOUT = 0x4;
