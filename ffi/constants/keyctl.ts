/**
 * @see keyctl(2); linux/keyctl.h
 * @module
 */

export const KEYCTL_GET_KEYRING_ID = 0;
export const KEYCTL_JOIN_SESSION_KEYRING = 1;
export const KEYCTL_SETPERM = 5;

export const KEY_SPEC_SESSION_KEYRING = -3;
