/*
 * The entry stub of the executable.
 *
 * The linker (../link.ts) appends this code, the bundle and the tables below to Deno's own ELF file, points
 * e_entry here and hides the file's interpreter from the kernel. So this runs first: ld.so takes 2 ms and
 * 2.5 MB to relocate Deno, which `shim.c` can do without. It puts the loader into a sealed memory file,
 * builds a new argument vector and environment below the kernel's, loads ld.so as the kernel would have,
 * and jumps to it. To ld.so the file looks as Deno's linker made it.
 *
 * Rules: no libc, no writable data (the segment is mapped read-only and executable), no pointer
 * constants (this code is not relocated). stub.ld refuses the result otherwise.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

/*
 * Filled in by the linker. Offsets and distances are in bytes and count from this block, which is the
 * first thing of the segment. A table is `count` C strings, one after the other.
 */
struct parameters {
  char magic[8];
  i64 entry;       /* Deno's own entry point */
  i64 interpreter; /* the path of its interpreter */
  u64 bundle, bundle_size;            /* the one module that Deno loads */
  u64 program;                        /* what that module runs; it stays where it is mapped */
  u32 arguments, arguments_count;     /* argv[0] for Deno, then what precedes the path of the bundle */
  u32 environment, environment_count; /* NAME=VALUE, set in every run */
  u32 dropped, dropped_count;         /* prefixes of the variables which are not passed on */
  u32 headers, headers_count;         /* Deno's program headers, with the interpreter and this segment */
};

extern const struct parameters parameters __attribute__((visibility("hidden")));

/* The kernel enters with the stack in rsp (System V psABI, 3.4.1). */
__asm__(
    ".section .parameters, \"ax\"\n"
    ".globl parameters\n"
    "parameters:\n"
    ".ascii \"urunc\\0\\0\\1\"\n"
    ".fill 72, 1, 0\n"
    ".section .entry, \"ax\"\n"
    "xorl %ebp, %ebp\n"
    "movq %rsp, %rdi\n"
    "andq $-16, %rsp\n"
    "call stub_main\n"
    ".text\n");

/* System calls and constants: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/ of Linux. */
enum {
  SYS_read = 0,
  SYS_write = 1,
  SYS_open = 2,
  SYS_close = 3,
  SYS_mmap = 9,
  SYS_madvise = 28,
  SYS_fcntl = 72,
  SYS_getcwd = 79,
  SYS_chdir = 80,
  SYS_getrlimit = 97,
  SYS_exit_group = 231,
  SYS_memfd_create = 319,
};
enum { ENOENT = 2, EINTR = 4, EBADF = 9, EINVAL = 22 };
enum { O_RDONLY = 0, O_RDWR = 2, O_CLOEXEC = 02000000 };
enum { PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4 };
enum { MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20 };
enum { RLIMIT_NOFILE = 7 };
enum { F_GETFD = 1, F_ADD_SEALS = 1033 };
enum { MFD_CLOEXEC = 1, MFD_ALLOW_SEALING = 2, MFD_NOEXEC_SEAL = 8 };
enum { F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4, F_SEAL_WRITE = 8 };

static inline i64 system_call(i64 number, i64 a, i64 b, i64 c) {
  i64 result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

static inline i64 system_call6(i64 number, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
  i64 result;
  register i64 r10 __asm__("r10") = d;
  register i64 r8 __asm__("r8") = e;
  register i64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static u64 length(const char *text) {
  u64 count = 0;
  while (text[count]) count++;
  return count;
}

static int starts_with(const char *text, const char *prefix) {
  while (*prefix)
    if (*text++ != *prefix++) return 0;
  return 1;
}

static const char *next(const char *text) { return text + length(text) + 1; }

static char *append(char *to, const char *text) {
  while (*text) *to++ = *text++;
  *to = 0;
  return to;
}

static char *append_number(char *to, u64 number) {
  char digits[20];
  u32 count = 0;
  do {
    digits[count++] = '0' + number % 10;
    number /= 10;
  } while (number);
  while (count) *to++ = digits[--count];
  *to = 0;
  return to;
}

/* Prints one line, `urunc: OPERATION[ NUMBER]: REASON[ (errno N)]`, and exits with status 1. */
__attribute__((noreturn, noinline)) static void
fail(const char *operation, i64 number, const char *reason, i64 error) {
  char line[256]; /* longer than the longest message in this file */
  char *end = append(append(line, "urunc: "), operation);
  if (number >= 0) end = append_number(append(end, " "), number);
  end = append(append(end, ": "), reason);
  if (error) end = append(append_number(append(end, " (errno "), -error), ")");
  end = append(end, "\n");
  system_call(SYS_write, 2, (i64)line, end - line);
  for (;;) system_call(SYS_exit_group, 1, 0, 0);
}

/* RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. */
static int is_utf8(const char *text) {
  const u8 *at = (const u8 *)text;
  while (*at) {
    u8 first = *at++;
    if (first < 0x80) continue;
    u32 more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    u8 low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    u8 high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (first < 0xc2 || first > 0xf4) return 0;
    while (more--) {
      if (*at < low || *at > high) return 0; /* the terminating zero is below `low` */
      at++;
      low = 0x80;
      high = 0xbf;
    }
  }
  return 1;
}

/* Deno replaces what is not UTF-8 and removes a final CR; a changed argument is another request. */
static void check_arguments(u64 count, char **arguments) {
  for (u64 i = 0; i < count; i++) {
    u64 size = length(arguments[i]);
    if (!is_utf8(arguments[i])) fail("read argument", i, "it is not valid UTF-8", 0);
    if (size && arguments[i][size - 1] == '\r')
      fail("read argument", i, "it ends in a carriage return", 0);
  }
}

/* If one of them is closed, the next file to be opened would become standard input or output. */
static void open_standard_files(void) {
  for (i64 fd = 0; fd < 3; fd++) {
    if (system_call(SYS_fcntl, fd, F_GETFD, 0) != -EBADF) continue;
    i64 opened = system_call(SYS_open, (i64) "/dev/null", O_RDWR, 0);
    if (opened != fd) fail("open /dev/null in place of closed file descriptor", fd, "failed", opened < 0 ? opened : 0);
  }
}

/*
 * Deno does not start in a directory that was removed or is outside of the root directory (getcwd(2)
 * then returns a text in parentheses). containerd may remove a bundle in which it calls its shim.
 */
static void leave_lost_directory(void) {
  char path[4096]; /* PATH_MAX, the most that getcwd ever gives */
  i64 result = system_call(SYS_getcwd, (i64)path, sizeof path, 0);
  if (result != -ENOENT && (result < 0 || path[0] == '/')) return;
  result = system_call(SYS_chdir, (i64) "/", 0, 0);
  if (result < 0) fail("leave the removed working directory", -1, "chdir / failed", result);
}

#include "shim.c"

static void write_whole(i64 fd, const char *from, u64 left) {
  while (left) {
    i64 result = system_call(SYS_write, fd, (i64)from, left);
    if (result == -EINTR) continue;
    if (result <= 0) fail("fill the memory file", -1, "write failed", result);
    from += result;
    left -= result;
  }
}

/* Returns the descriptor, the lowest unused one: it does not replace any that the caller left open. */
static i64 open_bundle(void) {
  const char *start = (const char *)&parameters;
  /* MFD_NOEXEC_SEAL is unknown before Linux 6.3, and required where vm.memfd_noexec is 2. */
  i64 fd = system_call(SYS_memfd_create, (i64) "urunc.js", MFD_CLOEXEC | MFD_NOEXEC_SEAL, 0);
  if (fd == -EINVAL)
    fd = system_call(SYS_memfd_create, (i64) "urunc.js", MFD_CLOEXEC | MFD_ALLOW_SEALING, 0);
  if (fd < 0)
    fail("create a memory file", -1, "memfd_create is not possible here; a seccomp profile, a security module or a limit forbids it", fd);
  /* Where the program is differs from run to run (ASLR). ../loader.ts reads this variable. */
  char place[sizeof "const PROGRAM_ADDRESS=n;" + 20];
  char *end = append_number(append(place, "const PROGRAM_ADDRESS="), (u64)start + parameters.program);
  write_whole(fd, place, append(end, "n;") - place);
  write_whole(fd, start + parameters.bundle, parameters.bundle_size);
  i64 result = system_call(SYS_fcntl, fd, F_ADD_SEALS,
                           F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  if (result < 0) fail("seal the memory file", -1, "fcntl failed", result);
  return fd;
}

/* Deno reads the bundle by this path; without /proc it would only report that a module was not found. */
static void check_path(const char *path) {
  i64 fd = system_call(SYS_open, (i64)path, O_RDONLY | O_CLOEXEC, 0);
  if (fd < 0) fail("read /proc/self/fd", -1, "/proc must be mounted and readable; mount -t proc proc /proc", fd);
  system_call(SYS_close, fd, 0, 0);
}

static int is_dropped(const char *variable) {
  const char *prefix = (const char *)&parameters + parameters.dropped;
  for (u32 i = 0; i < parameters.dropped_count; i++, prefix = next(prefix))
    if (starts_with(variable, prefix)) return 1;
  return 0;
}

static char **append_table(char **to, u32 offset, u32 count) {
  const char *text = (const char *)&parameters + offset;
  for (u32 i = 0; i < count; i++, text = next(text)) *to++ = (char *)text;
  return to;
}

/* Deno raises it to the hard limit (getrlimit(2)); programs that it starts must not inherit that. */
static u64 soft_file_limit(void) {
  u64 limit[2]; /* struct rlimit: soft, hard */
  i64 result = system_call(SYS_getrlimit, RLIMIT_NOFILE, (i64)limit, 0);
  if (result < 0) fail("read the limit of open files", -1, "getrlimit failed", result);
  return limit[0];
}

#include "interpreter.c"

__attribute__((noreturn, used)) void stub_main(u64 *stack) {
  /* The kernel's layout: argc, argv, NULL, envp, NULL, auxv up to its AT_NULL pair. */
  u64 argc = stack[0];
  char **argv = (char **)(stack + 1);
  char **envp = argv + argc + 1;
  u64 variables = 0, words = 2;
  while (envp[variables]) variables++;
  u64 *auxv = (u64 *)(envp + variables + 1);
  while (auxv[words - 2]) words += 2;

  open_standard_files();
  check_arguments(argc, argv);
  struct shim_process shim;
  shim.count = 0;
  answer_as_shim(argc, argv, &shim);
  if (shim.count) argc--; /* without its last argument */
  leave_lost_directory();

  const char *name = argc ? argv[0] : "";
  char *argv0 = __builtin_alloca(sizeof "URUNC_ARGV0=" + length(name));
  append(append(argv0, "URUNC_ARGV0="), name);
  char *file_limit = __builtin_alloca(sizeof "URUNC_FILE_LIMIT=" + 20);
  append_number(append(file_limit, "URUNC_FILE_LIMIT="), soft_file_limit());
  char *path = __builtin_alloca(sizeof "/proc/self/fd/" + 20);
  append_number(append(path, "/proc/self/fd/"), open_bundle());
  check_path(path);

  /* argc; path and terminator; argv[1..]; two variables and terminator; what is in the tables; auxv. */
  u64 size = 1 + 2 + argc + shim.count + 3 + variables + words + parameters.arguments_count + parameters.environment_count;
  u64 *vector = __builtin_alloca_with_align(size * sizeof(u64), 16 * 8);

  char **to = append_table((char **)(vector + 1), parameters.arguments, parameters.arguments_count);
  *to++ = path;
  for (u64 i = 1; i < argc; i++) *to++ = argv[i];
  for (u32 i = 0; i < shim.count; i++) *to++ = (char *)shim.arguments[i];
  vector[0] = to - (char **)(vector + 1);
  *to++ = 0;
  to = append_table(to, parameters.environment, parameters.environment_count);
  *to++ = argv0;
  *to++ = file_limit;
  for (u64 i = 0; i < variables; i++)
    if (!is_dropped(envp[i])) *to++ = envp[i];
  *to++ = 0;
  u64 *copy = (u64 *)to;
  for (u64 i = 0; i < words; i++) copy[i] = auxv[i];
  u64 entry = enter_interpreter(copy);

  /* rdx: a function to register with atexit(3), here none. */
  __asm__ volatile("movq %%rax, %%rsp\n\txorl %%ebp, %%ebp\n\tjmp *%%rcx"
                   :
                   : "a"(vector), "c"(entry), "d"(0)
                   : "memory");
  __builtin_unreachable();
}
