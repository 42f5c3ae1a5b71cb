/**
 * @see wait(2); linux/wait.h
 * @module
 */

export const WNOHANG = 0x1;
export const WUNTRACED = 0x2;
export const WCONTINUED = 0x8;
export const WEXITED = 0x4;
export const WNOWAIT = 0x1000000;

export const __WALL = 0x40000000;
