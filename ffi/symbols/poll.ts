/** poll.h @module */
import { declare } from "./_library.ts";

const POLL = {
  parameters: [
    /* struct pollfd *fds */ "buffer",
    /* nfds_t nfds */ "u64",
    /* int timeout */ "i32",
  ],
  result: "i32",
} as const;

export const poll = declare("poll", POLL);

/** In a thread of its own, where errno stays. */
export const pollNonblocking = declare("poll", { ...POLL, nonblocking: true });
