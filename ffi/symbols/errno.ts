/** errno.h @module */
import { declare } from "./_library.ts";

/** Where this thread's errno lives. */
export const __errno_location = declare("__errno_location", {
  parameters: [],
  result: /* int * */ "pointer",
});
