/**
 * @see wait(2); linux/wait.h
 * @module
 */

export const WNOHANG = 0x1;
