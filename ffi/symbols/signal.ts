/** signal.h @module */
import { declare } from "./_library.ts";

export const kill = declare("kill", {
  parameters: [/* pid_t pid */ "i32", /* int sig */ "i32"],
  result: "i32",
});
