/** sys/file.h @module */
import { declare } from "./_library.ts";

const FLOCK = { parameters: [/* int fd */ "i32", /* int op */ "i32"], result: "i32" } as const;

export const flock = declare("flock", FLOCK);

/** In a thread of its own, where errno stays. */
export const flockNonblocking = declare("flock", { ...FLOCK, nonblocking: true });
