/** malloc.h @module */
import { declare } from "./_library.ts";

export const malloc_trim = declare("malloc_trim", {
  parameters: [/* size_t pad */ "usize"],
  result: "i32",
});
