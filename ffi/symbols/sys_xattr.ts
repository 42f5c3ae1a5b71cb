/** sys/xattr.h @module */
import { declare } from "./_library.ts";

export const getxattr = declare("getxattr", {
  parameters: [
    /* const char *path */ "buffer",
    /* const char *name */ "buffer",
    /* void *value */ "buffer",
    /* size_t size */ "usize",
  ],
  result: "isize",
});
