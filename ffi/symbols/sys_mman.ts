/** sys/mman.h @module */
import { declare } from "./_library.ts";

export const madvise = declare("madvise", {
  parameters: [/* void *addr */ "pointer", /* size_t len */ "usize", /* int advice */ "i32"],
  result: "i32",
});

export const memfd_create = declare("memfd_create", {
  parameters: [/* const char *name */ "buffer", /* unsigned int flags */ "u32"],
  result: "i32",
});

export const mmap = declare("mmap", {
  parameters: [
    /* void *addr */ "pointer",
    /* size_t len */ "usize",
    /* int prot */ "i32",
    /* int flags */ "i32",
    /* int fd */ "i32",
    /* off_t offset */ "i64",
  ],
  result: /* void * */ "pointer",
});

export const mprotect = declare("mprotect", {
  parameters: [/* void *addr */ "pointer", /* size_t len */ "usize", /* int prot */ "i32"],
  result: "i32",
});
