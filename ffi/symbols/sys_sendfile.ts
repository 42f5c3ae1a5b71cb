/** sys/sendfile.h @module */
import { declare } from "./_library.ts";

export const sendfile = declare("sendfile", {
  parameters: [
    /* int out_fd */ "i32",
    /* int in_fd */ "i32",
    /* off_t *offset */ "buffer",
    /* size_t count */ "usize",
  ],
  result: "isize",
});
