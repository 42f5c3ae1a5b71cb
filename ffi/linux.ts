/**
 * Linux as the rest of the program sees it: C's names and constants, failures as `LinuxError`.
 *
 * Functions act on the calling thread and block it, except those named `…Async`, which wait in
 * another thread. After the first `unshare` only the calling thread is in the new namespaces.
 * @module
 */
export * from "./constants.ts";
export { errnoName, LinuxError, unlessItWaits } from "./errors.ts";
export * from "./linux/bpf.ts";
export * from "./linux/credentials.ts";
export * from "./linux/descriptors.ts";
export * from "./linux/epoll.ts";
export * from "./linux/files.ts";
export * from "./linux/fork.ts";
export * from "./linux/landlock.ts";
export * from "./linux/memory.ts";
export * from "./linux/namespaces.ts";
export * from "./linux/poll.ts";
export * from "./linux/processes.ts";
export * from "./linux/signals.ts";
export * from "./linux/sockets.ts";
export * from "./linux/spawn.ts";
export * from "./linux/terminals.ts";
