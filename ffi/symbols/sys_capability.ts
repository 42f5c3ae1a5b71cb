/** sys/capability.h; glibc exports these two, though libcap is what declares them. @module */
import { declare } from "./_library.ts";

export const capget = declare("capget", {
  parameters: [/* cap_user_header_t hdrp */ "buffer", /* cap_user_data_t datap */ "buffer"],
  result: "i32",
});

export const capset = declare("capset", {
  parameters: [/* cap_user_header_t hdrp */ "buffer", /* const cap_user_data_t datap */ "buffer"],
  result: "i32",
});
