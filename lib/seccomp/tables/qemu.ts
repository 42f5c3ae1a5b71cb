import { AF_UNIX, F, kvmRequests, PR, requests } from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS, MEMORY, PROGRAM_START, SIGNALS_AND_TIME, THREADS } from "./common.ts";

/**
 * QEMU. Recorded with 10.0 under KVM and with emulation: the fixture guest and Debian's Linux, disks, a
 * network by its descriptor, stop by QMP and by signal, pause, errors.
 *
 * It forks and executes nothing, makes no socket and no namespace: what it is connected to it inherits.
 */
export const QEMU: readonly CallGroup[] = [
  ...PROGRAM_START,
  ...MEMORY,
  {
    why: "translated instructions are written, and executed from the same memory (tcg/region.c)",
    calls: "mmap mprotect",
    when: "translation",
  },
  ...THREADS,
  ...SIGNALS_AND_TIME,
  {
    why: "its main loop, timers and notifications",
    calls:
      "poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 " +
      "eventfd2 signalfd4 timerfd_create timerfd_settime timerfd_gettime timer_create timer_settime " +
      "timer_gettime timer_getoverrun timer_delete pipe2",
  },
  {
    why: "disks, consoles and the tap, by descriptors; flushing and giving room back",
    calls:
      "write pwrite64 readv writev preadv pwritev preadv2 pwritev2 fsync fdatasync fallocate " +
      "ftruncate fadvise64 flock dup dup2 dup3 fstatfs statfs getdents64",
  },
  DESCRIPTORS,
  {
    why: "locks of disk images (util/osdep.c)",
    calls: "fcntl",
    where: [{ argument: 1, among: [F.GETLK, F.SETLK, F.OFD_GETLK, F.OFD_SETLK] }],
  },
  {
    why: "what those are, and whether something waits in them",
    calls: "ioctl",
    where: [requests(
      "TCGETS TCSETS TCSETSW TCSETSF TCGETS2 TIOCGWINSZ FIONREAD FIONBIO HDIO_GETGEO BLKROGET " +
        "BLKGETSIZE BLKSECTGET BLKSSZGET BLKDISCARD BLKPBSZGET BLKROTATIONAL BLKZEROOUT BLKGETSIZE64",
    )],
  },
  {
    why: "requests of disks in the kernel (linux-aio)",
    calls: "io_setup io_submit io_getevents io_pgetevents io_cancel io_destroy",
  },
  {
    why: "connections that it inherits: commands and events",
    calls:
      "accept accept4 listen sendto sendmsg recvfrom recvmsg shutdown getsockname getpeername " +
      "getsockopt setsockopt",
  },
  {
    why: "a connection by which a file server asks it something (vhost_setup_backend_channel())",
    calls: "socketpair",
    where: [{ argument: 0, among: [AF_UNIX] }],
    when: "files",
  },
  {
    why: "at its exit it removes its control socket, of which there is no path in its root",
    calls: "unlink",
  },
  { why: "libnuma's constructor", calls: "get_mempolicy" },
  { why: "a filter of its own (-sandbox)", calls: "seccomp" },
  {
    why:
      "libcap-ng's constructor, names of threads, timers without slack, memory errors, its filter",
    calls: "prctl",
    where: [{
      argument: 0,
      among: [
        PR.SET_NAME,
        PR.SET_SECCOMP,
        PR.CAPBSET_READ,
        PR.SET_TIMERSLACK,
        PR.MCE_KILL,
        PR.SET_NO_NEW_PRIVS,
        PR.SET_VMA,
      ],
    }],
  },
  {
    why: "the tap: its header, offloads and send buffer",
    calls: "ioctl",
    where: [requests(
      "TUNGETFEATURES TUNSETOFFLOAD TUNGETIFF TUNSETSNDBUF TUNGETVNETHDRSZ TUNSETVNETHDRSZ " +
        "TUNSETVNETLE TUNSETVNETBE",
    )],
  },
  {
    why: "vhost-net: the guest's memory and queues (hw/virtio/vhost-backend.c)",
    calls: "ioctl",
    where: [requests(
      "VHOST_GET_FEATURES VHOST_SET_FEATURES VHOST_SET_OWNER VHOST_SET_MEM_TABLE VHOST_SET_VRING_NUM " +
        "VHOST_SET_VRING_ADDR VHOST_SET_VRING_BASE VHOST_GET_VRING_BASE VHOST_SET_VRING_KICK " +
        "VHOST_SET_VRING_CALL VHOST_SET_VRING_ERR VHOST_SET_VRING_BUSYLOOP_TIMEOUT " +
        "VHOST_SET_BACKEND_FEATURES VHOST_GET_BACKEND_FEATURES VHOST_NET_SET_BACKEND",
    )],
    when: "vhost",
  },
  {
    why: "a virtual machine of KVM and its processors",
    calls: "ioctl",
    where: [kvmRequests("qemu")],
    when: "kvm",
  },
];
