import { CLONE_FS, PR } from "../numbers.ts";
import type { CallGroup } from "../types.ts";
import { DESCRIPTORS, MEMORY, PROGRAM_START, SIGNALS_AND_TIME, THREADS } from "./common.ts";

/**
 * virtiofsd, the file server of a guest. Recorded with 1.13.2, under a program of a guest that makes every call on
 * files that there is, as root and as another user. What its own list has besides (src/seccomp.rs), which it
 * installs above this one, is here where another library, option or request takes it.
 *
 * It opens no file by a handle, makes no socket and no process, and is root nowhere but in a user namespace of its
 * own, where owners are mapped. Names are opened by openat2(2), below a directory: others by open(2) and openat(2)
 * are of its start, and of its own descriptors in procfs.
 */
export const VIRTIOFSD: readonly CallGroup[] = [
  ...PROGRAM_START,
  ...MEMORY,
  ...THREADS,
  ...SIGNALS_AND_TIME,
  DESCRIPTORS,
  {
    why: "files of the shared tree, by descriptors of their directories",
    calls: "openat2 mkdirat mknodat linkat symlinkat unlinkat renameat2 umask fchmod fchmodat " +
      "fchownat utimensat getdents64 fstatfs",
  },
  {
    why: "what is in them; of several calls that do the same the library chooses",
    calls: "write pwrite64 readv writev preadv pwritev preadv2 pwritev2 fsync fdatasync syncfs " +
      "fallocate ftruncate copy_file_range dup",
  },
  {
    why:
      "extended attributes (--xattr), of what cannot be opened in the directory of its descriptors",
    calls:
      "fchdir fgetxattr fsetxattr flistxattr fremovexattr getxattr setxattr listxattr removexattr",
  },
  {
    why:
      "the user of a thread, which it takes for that of a request: only root of a user namespace can change it",
    calls: "setresuid setresgid capget",
  },
  {
    // A guest's kernel says in which group of its process a file is made, if that is the directory's
    // (FUSE_CREATE_SUPP_GROUP), and the thread would have that group alone, for which it has no capability. It
    // has all groups of the container's user already.
    why: "groups of a thread: those of the guest's process count for nothing",
    calls: "setgroups",
    omitted: true,
  },
  {
    why:
      "the same where they count: root of a user namespace takes a group of the request's process",
    calls: "setgroups",
    when: "owners",
  },
  {
    why: "a thread has a working directory of its own",
    calls: "unshare",
    where: [{ argument: 0, among: [CLONE_FS] }],
  },
  {
    why: "the monitor's connection, and what it notifies by",
    calls: "accept4 recvmsg sendmsg epoll_create1 epoll_ctl epoll_wait epoll_pwait " +
      "eventfd2 poll",
  },
  { why: "a filter of its own (--seccomp)", calls: "seccomp" },
  {
    why: "as uid 0 it gives up its capabilities by itself: none can be had by it",
    calls: "capset",
  },
  {
    why: "libcap-ng's constructor, names of threads and of memory, its filter",
    calls: "prctl",
    where: [{
      argument: 0,
      among: [
        ...[PR.SET_NAME, PR.SET_SECCOMP, PR.SET_NO_NEW_PRIVS, PR.SET_VMA],
        ...[PR.CAPBSET_READ, PR.CAPBSET_DROP],
      ],
    }],
  },
];
