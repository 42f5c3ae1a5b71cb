/**
 * fcntl.h. `open`, `openat` and `fcntl` are variadic; on x86-64 integers and pointers travel in the
 * same registers either way.
 * @module
 */
import { declare } from "./_library.ts";

export const open = declare("open", {
  parameters: [/* const char *path */ "buffer", /* int flags */ "i32", /* mode_t mode */ "u32"],
  result: "i32",
});

export const openat = declare("openat", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* int flags */ "i32",
    /* mode_t mode */ "u32",
  ],
  result: "i32",
});

export const fcntl = declare("fcntl", {
  parameters: [/* int fd */ "i32", /* int op */ "i32", /* int arg */ "i32"],
  result: "i32",
});

export const fcntlLock = declare("fcntl", {
  parameters: [/* int fd */ "i32", /* int op */ "i32", /* struct flock *lock */ "buffer"],
  result: "i32",
});
