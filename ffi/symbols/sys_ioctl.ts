/** sys/ioctl.h. Variadic: the argument is an integer or a pointer, as the request says. @module */
import { declare } from "./_library.ts";

export const ioctl = declare("ioctl", {
  parameters: [/* int fd */ "i32", /* unsigned long op */ "u64", /* unsigned long arg */ "u64"],
  result: "i32",
});

export const ioctlPointer = declare("ioctl", {
  parameters: [/* int fd */ "i32", /* unsigned long op */ "u64", /* void *arg */ "buffer"],
  result: "i32",
});
