/**
 * Terminals: modes, sizes, pseudo-terminals.
 * @see ioctl_tty(2), termios(3); asm-generic/ioctls.h, asm-generic/termbits.h
 * @module
 */

export const TCGETS = 0x5401;
export const TCSETS = 0x5402;
export const TIOCSCTTY = 0x540e;
export const TIOCGWINSZ = 0x5413;
export const TIOCSWINSZ = 0x5414;
export const TIOCSPTLCK = 0x40045431;
export const TIOCGPTPEER = 0x5441;

export const IGNBRK = 0o1;
export const BRKINT = 0o2;
export const PARMRK = 0o10;
export const ISTRIP = 0o40;
export const INLCR = 0o100;
export const IGNCR = 0o200;
export const ICRNL = 0o400;
export const IXON = 0o2000;

export const OPOST = 0o1;

export const CSIZE = 0o60;
export const CS8 = 0o60;
export const PARENB = 0o400;

export const ISIG = 0o1;
export const ICANON = 0o2;
export const ECHO = 0o10;
export const ECHONL = 0o100;
export const IEXTEN = 0o100000;

export const VTIME = 5;
export const VMIN = 6;
