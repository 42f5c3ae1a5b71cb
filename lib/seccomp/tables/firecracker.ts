import { F, kvmRequests, PR, requests } from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS, MEMORY, PROGRAM_START, SIGNALS_AND_TIME, THREADS } from "./common.ts";

/**
 * Firecracker. What its own filters allow (resources/seccomp of 1.16),
 * which each of its threads installs before the guest runs, without its API, vsock, snapshots and io_uring;
 * and what it does until then, recorded with 1.16 with Debian's Linux, disks and a network.
 */
export const FIRECRACKER: readonly CallGroup[] = [
  ...PROGRAM_START,
  ...MEMORY,
  ...THREADS,
  ...SIGNALS_AND_TIME,
  {
    why: "its main loop, timers and notifications",
    calls: "poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait eventfd2 timerfd_create " +
      "timerfd_settime timerfd_gettime pipe2",
  },
  {
    why: "its table of descriptors is made as large as it may get (resize_fdtable())",
    calls: "dup dup2 dup3",
  },
  DESCRIPTORS,
  {
    why: "the ring's file keeps its size",
    calls: "fcntl",
    where: [{ argument: 1, among: [F.ADD_SEALS] }],
  },
  {
    why: "disks, console and the tap; buffers of the network are a ring in a file of memory",
    calls: "write pwrite64 readv writev preadv pwritev fsync fdatasync ftruncate memfd_create",
  },
  {
    why: "what those are, and whether something waits in them",
    calls: "ioctl",
    where: [requests("TCGETS TCSETS TCGETS2 TIOCGWINSZ FIONREAD FIONBIO BLKGETSIZE64")],
  },
  {
    why: "the tap, which it attaches by its name",
    calls: "ioctl",
    where: [requests("TUNSETIFF TUNSETOFFLOAD TUNSETVNETHDRSZ TUNGETFEATURES")],
    when: "namedTap",
  },
  { why: "filters of its own", calls: "seccomp" },
  {
    why: "names of threads, and its filters",
    calls: "prctl",
    where: [{
      argument: 0,
      among: [PR.SET_NAME, PR.SET_SECCOMP, PR.SET_NO_NEW_PRIVS, PR.SET_VMA],
    }],
  },
  {
    why: "a virtual machine of KVM and its processors",
    calls: "ioctl",
    where: [kvmRequests("firecracker")],
    when: "kvm",
  },
];
