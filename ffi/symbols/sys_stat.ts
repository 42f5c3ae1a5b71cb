/** sys/stat.h @module */
import { declare } from "./_library.ts";

export const statx = declare("statx", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* int flags */ "i32",
    /* unsigned int mask */ "u32",
    /* struct statx *statxbuf */ "buffer",
  ],
  result: "i32",
});

export const mknodat = declare("mknodat", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* mode_t mode */ "u32",
    /* dev_t dev */ "u64",
  ],
  result: "i32",
});

export const mkdirat = declare("mkdirat", {
  parameters: [/* int dirfd */ "i32", /* const char *path */ "buffer", /* mode_t mode */ "u32"],
  result: "i32",
});

export const fchmod = declare("fchmod", {
  parameters: [/* int fd */ "i32", /* mode_t mode */ "u32"],
  result: "i32",
});

export const fchmodat = declare("fchmodat", {
  parameters: [
    /* int dirfd */ "i32",
    /* const char *path */ "buffer",
    /* mode_t mode */ "u32",
    /* int flags */ "i32",
  ],
  result: "i32",
});

export const umask = declare("umask", {
  parameters: [/* mode_t mask */ "u32"],
  result: /* mode_t */ "u32",
});
