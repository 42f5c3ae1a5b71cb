/** sys/epoll.h @module */
import { declare } from "./_library.ts";

export const epoll_create1 = declare("epoll_create1", {
  parameters: [/* int flags */ "i32"],
  result: "i32",
});

export const epoll_ctl = declare("epoll_ctl", {
  parameters: [
    /* int epfd */ "i32",
    /* int op */ "i32",
    /* int fd */ "i32",
    /* struct epoll_event *event */ "buffer",
  ],
  result: "i32",
});

const WAIT = {
  parameters: [
    /* int epfd */ "i32",
    /* struct epoll_event *events */ "buffer",
    /* int maxevents */ "i32",
    /* int timeout */ "i32",
  ],
  result: "i32",
} as const;

export const epoll_wait = declare("epoll_wait", WAIT);

/** In a thread of its own, where errno stays. */
export const epoll_waitNonblocking = declare("epoll_wait", { ...WAIT, nonblocking: true });
