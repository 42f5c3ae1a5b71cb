/**
 * @see epoll_ctl(2); linux/eventpoll.h
 * @module
 */

export const EPOLL_CTL_ADD = 1;
export const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

export const EPOLL_CLOEXEC = 0o2000000;

export const EPOLLIN = 0x1;
export const EPOLLPRI = 0x2;
export const EPOLLOUT = 0x4;
