/*
 * fork(3) of a process that runs V8. V8 keeps its heap from children (MADV_DONTFORK, see
 * V8_ENABLE_PRIVATE_MAPPING_FORK_OPTIMIZATION in its src/base/platform/platform-posix.cc), where its child would
 * fault. So every private mapping is handed on right before the fork, in one call: JavaScript in between
 * may have V8 take another page.
 *
 * Rules: as the stub's (../stub/stub.c). The C library's fork is called, which waits for the locks of its
 * own allocator that other threads hold.
 */

typedef unsigned char u8;
typedef unsigned long u64;
typedef long i64;

/* The caller (ffi/linux/fork.ts) calls the first byte, with C's calling convention. */
__asm__(
    ".section .parameters, \"ax\"\n"
    "jmp fork_all\n"
    ".text\n");

/* arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/ of Linux. */
enum { SYS_read = 0, SYS_open = 2, SYS_close = 3, SYS_madvise = 28 };
enum { O_RDONLY = 0, O_CLOEXEC = 02000000 };
enum { MADV_DOFORK = 11 };

static inline i64 system_call(i64 number, i64 a, i64 b, i64 c) {
  i64 result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

struct reader {
  i64 fd, at, end;
  u8 buffer[4096];
};

/* The next byte of the file; 0 at its end, and where it cannot be read. */
static u8 next(struct reader *it) {
  if (it->at == it->end) {
    it->at = 0;
    it->end = system_call(SYS_read, it->fd, (i64)it->buffer, sizeof it->buffer);
    if (it->end <= 0) return it->at = it->end = 0;
  }
  return it->buffer[it->at++];
}

/* A hexadecimal number, and the byte behind it. */
static u64 number(struct reader *it) {
  u64 value = 0;
  for (;;) {
    u8 byte = next(it);
    if (byte >= '0' && byte <= '9') value = value * 16 + (byte - '0');
    else if (byte >= 'a' && byte <= 'f') value = value * 16 + (byte - 'a' + 10);
    else return value;
  }
}

/* proc_pid_maps(5): `FROM-TO rwxp …`, a mapping each line. Returns as `fork` does, or below -1. */
__attribute__((used)) int fork_all(int (*fork)(void)) {
  struct reader it;
  it.fd = system_call(SYS_open, (i64) "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
  if (it.fd < 0) return -2;
  it.at = it.end = 0;
  for (;;) {
    u64 from = number(&it), to = number(&it);
    if (to == 0) break;
    for (u8 skipped = 0; skipped < 3; skipped++) next(&it);
    /* What the kernel does not hand on (vvar) it refuses. */
    if (next(&it) == 'p') system_call(SYS_madvise, from, to - from, MADV_DOFORK);
    for (u8 byte; (byte = next(&it)) != '\n';)
      if (byte == 0) break;
  }
  system_call(SYS_close, it.fd, 0, 0);
  return fork();
}
