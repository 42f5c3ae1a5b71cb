/**
 * Values of the kernel and the C library under their C names, a file per header; a test compares
 * every one with a C compiler's.
 * @module
 */
export * from "./constants/bpf.ts";
export * from "./constants/capability.ts";
export * from "./constants/epoll.ts";
export * from "./constants/errno.ts";
export * from "./constants/eventfd.ts";
export * from "./constants/fcntl.ts";
export * from "./constants/keyctl.ts";
export * from "./constants/landlock.ts";
export * from "./constants/mman.ts";
export * from "./constants/mount.ts";
export * from "./constants/openat2.ts";
export * from "./constants/poll.ts";
export * from "./constants/prctl.ts";
export * from "./constants/resource.ts";
export * from "./constants/sched.ts";
export * from "./constants/seccomp.ts";
export * from "./constants/signal.ts";
export * from "./constants/socket.ts";
export * from "./constants/spawn.ts";
export * from "./constants/stat.ts";
export * from "./constants/syscall.ts";
export * from "./constants/termios.ts";
export * from "./constants/unistd.ts";
export * from "./constants/wait.ts";
