/** grp.h @module */
import { declare } from "./_library.ts";

export const setgroups = declare("setgroups", {
  parameters: [/* size_t size */ "usize", /* const gid_t *list */ "buffer"],
  result: "i32",
});
