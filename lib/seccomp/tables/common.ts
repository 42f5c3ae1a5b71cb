import {
  CLONE_NAMESPACES,
  CLONE_THREAD,
  CLONE_VM,
  F,
  MAP_ANONYMOUS,
  MAP_PRIVATE,
  MAP_TYPE,
  PROT_EXEC,
  PROT_WRITE,
} from "../numbers.ts";
import type { CallGroup } from "../types.ts";

/** The exec itself, and what a program's loader and C library call before its first function. */
export const PROGRAM_START: readonly CallGroup[] = [
  { why: "the filter is there before the program is executed", calls: "execve" },
  {
    why: "the loader finds and maps libraries, and reads what they were built for",
    calls: "access faccessat faccessat2 open openat close read pread64 lseek stat fstat lstat " +
      "newfstatat statx readlink readlinkat getcwd uname",
  },
  {
    why: "the C library sets its thread up, and asks for limits, processors and random bytes",
    calls: "arch_prctl set_tid_address set_robust_list get_robust_list rseq getrandom " +
      "sched_getaffinity sysinfo getrlimit",
  },
  {
    why: "limits are read and set, of the process itself only",
    calls: "prlimit64",
    where: [{ argument: 0, mask: 0xffff_ffff, equals: 0 }],
  },
  {
    why: "who it is, which does not say more than it knows",
    calls: "getpid getppid gettid getuid geteuid getgid getegid getresuid getresgid getgroups",
  },
];

/** Memory, of which code is a part that cannot be written. */
export const MEMORY: readonly CallGroup[] = [
  { why: "memory of its own", calls: "brk munmap mremap madvise mincore msync" },
  {
    why: "memory that is not code",
    calls: "mmap mprotect",
    where: [{ argument: 2, mask: PROT_EXEC, equals: 0 }],
  },
  {
    why: "code of programs and libraries comes from files, and is not written",
    calls: "mmap",
    where: [
      { argument: 2, mask: PROT_EXEC | PROT_WRITE, equals: PROT_EXEC },
      { argument: 3, mask: MAP_TYPE | MAP_ANONYMOUS, equals: MAP_PRIVATE },
    ],
  },
];

/** Descriptors of its own. Whom a file's signals go to it cannot say. */
export const DESCRIPTORS: CallGroup = {
  why: "descriptors are copied, and their flags read and set",
  calls: "fcntl",
  where: [{
    argument: 1,
    among: [F.DUPFD, F.GETFD, F.SETFD, F.GETFL, F.SETFL, F.DUPFD_CLOEXEC],
  }],
};

/** Threads of the same process, and no process besides it. */
export const THREADS: readonly CallGroup[] = [
  {
    why: "threads; a process, and a namespace, is none",
    calls: "clone",
    where: [{
      argument: 0,
      mask: CLONE_VM | CLONE_THREAD | CLONE_NAMESPACES,
      equals: CLONE_VM | CLONE_THREAD,
    }],
  },
  {
    why: "locks between threads, and their end",
    calls: "futex futex_waitv futex_wake futex_wait futex_requeue membarrier sched_yield exit",
  },
];

/** Signals that it handles itself, clocks, and its exit. */
export const SIGNALS_AND_TIME: readonly CallGroup[] = [
  {
    why: "handlers, masks and what follows an interrupted call",
    calls: "rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend " +
      "sigaltstack restart_syscall",
  },
  { why: "a signal to a thread: abort(3), and kicks of virtual processors", calls: "tkill tgkill" },
  {
    why: "clocks, of which most are read without a call",
    calls: "clock_gettime clock_getres gettimeofday time clock_nanosleep nanosleep",
  },
  { why: "its exit", calls: "exit_group" },
];
