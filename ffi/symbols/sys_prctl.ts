/** sys/prctl.h. Variadic; the kernel takes four unsigned longs. @module */
import { declare } from "./_library.ts";

export const prctl = declare("prctl", {
  parameters: [
    /* int op */ "i32",
    /* unsigned long arg2 */ "u64",
    /* unsigned long arg3 */ "u64",
    /* unsigned long arg4 */ "u64",
    /* unsigned long arg5 */ "u64",
  ],
  result: "i32",
});
