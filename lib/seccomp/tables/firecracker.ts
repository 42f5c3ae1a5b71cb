import { AF_UNIX, F, kvmRequests, PR, requests, SOCK_STREAM, SOCK_TYPE } from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS, MEMORY, PROGRAM_START, SIGNALS_AND_TIME, THREADS } from "./common.ts";

/**
 * Lengths of addresses of sockets, as Rust's library counts them (sockaddr_un() in std/src/os/unix/net/addr.rs):
 * the family, the path (lib/plan/vsock.ts) and a NUL.
 */
const VSOCK_ADDRESS = 2 + "/guest/vsock/v".length + 1;
const VSOCK_PORT_ADDRESS = 2 + "/guest/vsock/v_1024".length + 1;

/**
 * Firecracker. What its own filters allow (resources/seccomp of 1.16),
 * which each of its threads installs before the guest runs, without its API, snapshots and io_uring;
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
  {
    why:
      "vsock: it listens on a socket of its own, and connects to those of the container's process",
    calls: "socket",
    where: [
      { argument: 0, among: [AF_UNIX] },
      { argument: 1, mask: SOCK_TYPE, equals: SOCK_STREAM },
      { argument: 2, among: [0] },
    ],
    when: "vsock",
  },
  {
    why: "to a name as long as those are: abstract ones of the network namespace mostly are longer",
    calls: "connect",
    where: [{ argument: 2, among: [VSOCK_PORT_ADDRESS] }],
    when: "vsock",
  },
  {
    why: "the same for its own, to which nobody connects: it needs to accept nothing",
    calls: "bind",
    where: [{ argument: 2, among: [VSOCK_ADDRESS] }],
    when: "vsock",
  },
  {
    why: "and bytes both ways, without descriptors",
    calls: "listen recvfrom sendto",
    when: "vsock",
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
