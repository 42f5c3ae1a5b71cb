/**
 * Signals, as the x86-64 and arm64 kernels number them.
 * @see signal(7); asm/signal.h
 * @module
 */

export const SIG_SETMASK = 2;

export const SIGKILL = 9;
export const SIGTERM = 15;
export const SIGCHLD = 17;
export const SIGSTOP = 19;
