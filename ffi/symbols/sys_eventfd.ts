/** sys/eventfd.h @module */
import { declare } from "./_library.ts";

export const eventfd = declare("eventfd", {
  parameters: [/* unsigned int initval */ "u32", /* int flags */ "i32"],
  result: "i32",
});
