/**
 * @see keyctl(2); linux/keyctl.h
 * @module
 */

export const KEYCTL_JOIN_SESSION_KEYRING = 1;
