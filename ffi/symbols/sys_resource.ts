/** sys/resource.h @module */
import { declare } from "./_library.ts";

export const prlimit64 = declare("prlimit64", {
  parameters: [
    /* pid_t pid */ "i32",
    /* int resource */ "i32",
    /* const struct rlimit64 *new_limit */ "buffer",
    /* struct rlimit64 *old_limit */ "buffer",
  ],
  result: "i32",
});
