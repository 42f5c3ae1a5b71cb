import {
  AF_INET,
  AF_NETLINK,
  IPPROTO_IP,
  IPPROTO_UDP,
  kvmRequests,
  NETLINK_ROUTE,
  PERSONALITY_QUERY,
  PR,
  PROT_EXEC,
  PROT_WRITE,
  requests,
  SOCK_DGRAM,
  SOCK_TYPE,
} from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS, MEMORY, PROGRAM_START, SIGNALS_AND_TIME, THREADS } from "./common.ts";

/**
 * Both of Solo5's tenders. Recorded with 0.12 with its own test guests, disks and a network. They load the
 * guest, which is hostile, before they install a filter of their own.
 */
const TENDER: readonly CallGroup[] = [
  ...PROGRAM_START,
  ...MEMORY,
  ...SIGNALS_AND_TIME,
  {
    why: "what a guest waits for",
    calls:
      "poll ppoll epoll_create1 epoll_ctl epoll_wait epoll_pwait timerfd_create timerfd_settime",
  },
  {
    why: "disks, console and the tap; the filter is assembled in a file of memory",
    calls: "write writev readv pwrite64 memfd_create",
  },
  DESCRIPTORS,
  {
    why: "what those are, and whether something waits in them",
    calls: "ioctl",
    where: [requests("TCGETS TCGETS2 TIOCGWINSZ FIONREAD FIONBIO")],
  },
  {
    why: "whether everything that is readable would be executable: it asks, and changes nothing",
    calls: "personality",
    where: [{ argument: 0, among: [PERSONALITY_QUERY] }],
  },
  { why: "a filter of its own", calls: "seccomp" },
  {
    why: "its filter",
    calls: "prctl",
    where: [{
      argument: 0,
      among: [PR.SET_NAME, PR.SET_SECCOMP, PR.SET_NO_NEW_PRIVS, PR.SET_VMA],
    }],
  },
  {
    why:
      "the tap is attached by its name, after its state, MTU and offloads (tenders/common/tap_attach.c)",
    calls: "ioctl",
    where: [requests("TUNSETIFF SIOCGIFMTU SIOCETHTOOL")],
    when: "namedTap",
  },
  {
    why: "getifaddrs(3) asks the kernel by a socket of its own",
    calls: "socket",
    where: [
      { argument: 0, among: [AF_NETLINK] },
      { argument: 2, among: [NETLINK_ROUTE] },
    ],
    when: "namedTap",
  },
  {
    why: "the same, and the MTU by another",
    calls: "socket",
    where: [
      { argument: 0, among: [AF_INET] },
      { argument: 1, mask: SOCK_TYPE, equals: SOCK_DGRAM },
      { argument: 2, among: [IPPROTO_IP, IPPROTO_UDP] },
    ],
    when: "namedTap",
  },
  {
    why: "the kernel's answers",
    calls: "bind getsockname sendto recvmsg recvfrom",
    when: "namedTap",
  },
];

/** Solo5's tender for KVM. */
export const HVT: readonly CallGroup[] = [
  ...TENDER,
  ...THREADS,
  { why: "packets come by a thread, which a notification ends", calls: "eventfd2" },
  {
    why: "a virtual machine of KVM with one processor",
    calls: "ioctl",
    where: [kvmRequests("hvt")],
  },
];

/** Solo5's tender in whose own process the guest runs: one thread. */
export const SPT: readonly CallGroup[] = [
  ...TENDER,
  {
    why:
      "the guest's code was loaded into memory, and is executed where it is; it is not written then",
    calls: "mprotect",
    where: [{ argument: 2, mask: PROT_EXEC | PROT_WRITE, equals: PROT_EXEC }],
  },
];
