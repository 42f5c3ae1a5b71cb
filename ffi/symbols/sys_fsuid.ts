/** sys/fsuid.h @module */
import { declare } from "./_library.ts";

export const setfsuid = declare("setfsuid", {
  parameters: [/* uid_t uid */ "u32"],
  result: "i32",
});

export const setfsgid = declare("setfsgid", {
  parameters: [/* gid_t gid */ "u32"],
  result: "i32",
});
