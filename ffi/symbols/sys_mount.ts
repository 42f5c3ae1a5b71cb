/** sys/mount.h @module */
import { declare } from "./_library.ts";

export const mount = declare("mount", {
  parameters: [
    /* const char *source */ "buffer",
    /* const char *target */ "buffer",
    /* const char *filesystemtype */ "buffer",
    /* unsigned long mountflags */ "u64",
    /* const void *data */ "buffer",
  ],
  result: "i32",
});

export const umount2 = declare("umount2", {
  parameters: [/* const char *target */ "buffer", /* int flags */ "i32"],
  result: "i32",
});
