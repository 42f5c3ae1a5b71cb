/**
 * @see posix_spawn(3); spawn.h
 * @module
 */

export const POSIX_SPAWN_SETSIGDEF = 0x4;
export const POSIX_SPAWN_SETSIGMASK = 0x8;
export const POSIX_SPAWN_SETSID = 0x80;
