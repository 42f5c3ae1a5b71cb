import { requests } from "../numbers.ts";
import type { CallGroup } from "../types.ts";

/** What stands for a further process in a guest (lib/build/waiter/relay.h), before it reads a byte of it. */
export const RELAY: readonly CallGroup[] = [
  { why: "output, input and signals are copied and read", calls: "poll read write" },
  { why: "the guest's port", calls: "recvfrom sendto" },
  { why: "with vsock it is handed the connection to the guest", calls: "recvmsg" },
  { why: "the description of the process", calls: "pread64" },
  { why: "what it writes to, and whether that is one file", calls: "fstat" },
  { why: "the terminal's size", calls: "ioctl", where: [requests("TIOCGWINSZ")] },
  { why: "files that have ended", calls: "close" },
  { why: "an agent answers with random bytes", calls: "getrandom" },
  { why: "how long the agent may take, mostly without a call", calls: "clock_gettime" },
  { why: "a poll that was stopped continues", calls: "restart_syscall rt_sigreturn" },
  { why: "its exit", calls: "exit exit_group" },
];
