/** string.h @module */
import { declare } from "./_library.ts";

export const strerror = declare("strerror", {
  parameters: [/* int errnum */ "i32"],
  result: /* char * */ "pointer",
});
