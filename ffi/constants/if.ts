/**
 * @see netdevice(7); net/if.h, linux/if.h
 * @module
 */

export const IFNAMSIZ = 16;

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_RUNNING = 0x40;
