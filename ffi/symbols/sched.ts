/** sched.h @module */
import { declare } from "./_library.ts";

export const unshare = declare("unshare", {
  parameters: [/* int flags */ "i32"],
  result: "i32",
});

export const setns = declare("setns", {
  parameters: [/* int fd */ "i32", /* int nstype */ "i32"],
  result: "i32",
});
