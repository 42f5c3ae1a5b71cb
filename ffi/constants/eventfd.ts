/**
 * @see eventfd(2)
 * @module
 */

export const EFD_CLOEXEC = 0o2000000;
export const EFD_NONBLOCK = 0o4000;
