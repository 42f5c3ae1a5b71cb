/**
 * Capabilities; their names are in lib/config/capabilities.ts.
 * @see capabilities(7), capget(2); linux/capability.h
 * @module
 */

/** Two 32-bit words for each set. */
export const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;
