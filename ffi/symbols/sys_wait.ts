/** sys/wait.h @module */
import { declare } from "./_library.ts";

export const waitpid = declare("waitpid", {
  parameters: [/* pid_t pid */ "i32", /* int *wstatus */ "buffer", /* int options */ "i32"],
  result: "i32",
});
