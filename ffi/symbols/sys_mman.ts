/** sys/mman.h @module */
import { declare } from "./_library.ts";

export const memfd_create = declare("memfd_create", {
  parameters: [/* const char *name */ "buffer", /* unsigned int flags */ "u32"],
  result: "i32",
});
