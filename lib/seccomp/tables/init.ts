import {
  AF_INET,
  CLONE_NAMESPACES,
  CLONE_THREAD,
  IPPROTO_IP,
  IPPROTO_UDP,
  SOCK_DGRAM,
  SOCK_TYPE,
} from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS } from "./common.ts";

/**
 * Init's last step, and what it executes, the container's process, until the monitor was executed: from then on
 * that has a narrower filter than this one, which stays below it. The monitor's process was started before.
 */
export const INIT: readonly CallGroup[] = [
  {
    why: "it gives descriptors their numbers, executes, waits for `start`, and reports an error",
    calls: "accept4 accept read pread64 write writev sendto sendmsg recvfrom close dup dup2 dup3 " +
      "execve execveat",
  },
  DESCRIPTORS,
  {
    why: "the engine of JavaScript: memory, of which some is code that it writes, and threads",
    calls:
      "mmap munmap mprotect pkey_mprotect pkey_alloc pkey_free mremap madvise brk futex membarrier " +
      "sched_yield sched_getaffinity getrandom clock_gettime clock_nanosleep nanosleep getpid gettid " +
      "poll ppoll epoll_ctl epoll_wait epoll_pwait eventfd2 sysinfo getrusage",
  },
  {
    why: "its signals and exit",
    calls:
      "rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill restart_syscall exit exit_group",
  },
  {
    why:
      "the container's process makes itself known, its signals and pipes, and its filter, and opens " +
      "the monitor's process",
    calls:
      "prctl arch_prctl set_tid_address signalfd4 fstat newfstatat pipe2 getpid seccomp ioctl " +
      "pidfd_open",
  },
  {
    why: "the container's process asks the name server by datagrams",
    calls: "socket",
    where: [
      { argument: 0, among: [AF_INET] },
      { argument: 1, mask: SOCK_TYPE, equals: SOCK_DGRAM },
      { argument: 2, among: [IPPROTO_IP, IPPROTO_UDP] },
    ],
    when: "dns",
  },
  {
    why: "threads of the engine, and no process or namespace",
    calls: "clone",
    where: [{
      argument: 0,
      mask: CLONE_THREAD | CLONE_NAMESPACES,
      equals: CLONE_THREAD,
    }],
  },
];
