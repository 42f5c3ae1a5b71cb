/*
 * The first program of a Linux guest that gets its arguments and environment in the initial RAM disk
 * (lib/unikernel/initrd/): it becomes the container's own program with exactly these. The kernel's
 * command line could not carry them: it holds 2048 bytes and 32 variables, knows no escape, and
 * stands in the host's ps.
 *
 * /urunc/args: the program and its arguments, /urunc/env: NAME=VALUE; each ends with a NUL. A program
 * without a slash is looked for in the working directory, where a Linux kernel looks for its init,
 * and then along PATH, as in any container.
 *
 * What cannot be run is said on the console, and ends QEMU with a shell's code for it: 127 not found,
 * 126 otherwise. Where there is no such device, the kernel panics, as for every init that ends.
 *
 * Nothing but the x86-64 instruction set and Linux's system calls: no libc.
 */

#define AT_FDCWD -100
#define ENOENT 2
#define ENOTDIR 20
#define EACCES 13
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20
#define PROT_READ 1
#define PROT_WRITE 2
#define SEEK_END 2
#define SEEK_SET 0

/* arch/x86/entry/syscalls/syscall_64.tbl */
#define SYS_read 0
#define SYS_write 1
#define SYS_close 3
#define SYS_lseek 8
#define SYS_mmap 9
#define SYS_execve 59
#define SYS_exit 60
#define SYS_ioperm 173
#define SYS_openat 257

/* -device isa-debug-exit,iobase=0x501,iosize=2 */
#define DEBUG_EXIT 0x501
#define NOT_FOUND 127
#define NOT_RUN 126

#define PATH_MAX 4096

typedef unsigned long size_type;

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static size_type length_of(const char *text) {
  size_type length = 0;
  while (text[length]) length++;
  return length;
}

static void say(const char *text) {
  call(SYS_write, 2, (long)text, (long)length_of(text), 0, 0, 0);
}

static void __attribute__((noreturn)) fail(const char *what, long error) {
  char digits[24];
  char *at = digits + sizeof digits - 1;
  unsigned char code = error == ENOENT || error == ENOTDIR ? NOT_FOUND : NOT_RUN;
  *at = '\0';
  do *--at = (char)('0' + error % 10);
  while ((error /= 10) != 0);
  say("urunc: cannot run ");
  say(what);
  say(": errno ");
  say(at);
  say("\n");
  if (call(SYS_ioperm, DEBUG_EXIT, 2, 1, 0, 0, 0) == 0) {
    __asm__ volatile("outb %0, %1" : : "a"(code), "d"((unsigned short)DEBUG_EXIT));
  }
  for (;;) call(SYS_exit, code, 0, 0, 0, 0, 0);
}

/* Memory that is never given back: this program is about to be another. */
static void *allocate(size_type size, const char *what) {
  long address = call(SYS_mmap, 0, (long)(size + 1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address < 0 && address > -4096) fail(what, -address);
  return (void *)address;
}

/* The strings of a file as execve wants them. */
static char **strings_of(const char *path) {
  long fd = call(SYS_openat, AT_FDCWD, (long)path, 0, 0, 0, 0);
  if (fd < 0) fail(path, -fd);
  long size = call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0);
  if (size < 0) fail(path, -size);
  call(SYS_lseek, fd, 0, SEEK_SET, 0, 0, 0);
  char *text = allocate((size_type)size, path);
  for (long done = 0; done < size;) {
    long count = call(SYS_read, fd, (long)(text + done), size - done, 0, 0, 0);
    if (count <= 0) fail(path, count == 0 ? ENOENT : -count);
    done += count;
  }
  call(SYS_close, fd, 0, 0, 0, 0, 0);

  size_type count = 0;
  for (long at = 0; at < size; at++) count += text[at] == '\0';
  char **strings = allocate((count + 1) * sizeof(char *), path);
  char *next = text;
  for (size_type index = 0; index < count; index++) {
    strings[index] = next;
    next += length_of(next) + 1;
  }
  strings[count] = 0;
  return strings;
}

static const char *path_of(char **env) {
  for (; *env; env++) {
    const char *text = *env;
    if (text[0] == 'P' && text[1] == 'A' && text[2] == 'T' && text[3] == 'H' && text[4] == '=') {
      return text + 5;
    }
  }
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static int has_slash(const char *text) {
  while (*text) {
    if (*text++ == '/') return 1;
  }
  return 0;
}

static long run(const char *program, char **args, char **env) {
  return -call(SYS_execve, (long)program, (long)args, (long)env, 0, 0, 0);
}

/* What is there and cannot be run counts more than what is not there, as in execvp(3). */
static long run_along_path(char **args, char **env) {
  static char candidate[PATH_MAX];
  size_type length = length_of(args[0]);
  long worst = ENOENT;
  for (const char *at = path_of(env);; at++) {
    size_type size = 0;
    while (*at && *at != ':') {
      if (size < PATH_MAX) candidate[size++] = *at;
      at++;
    }
    if (size > 0 && size + 1 + length < PATH_MAX) {
      candidate[size++] = '/';
      for (size_type index = 0; index <= length; index++) candidate[size + index] = args[0][index];
      long error = run(candidate, args, env);
      if (error != ENOENT && error != ENOTDIR) {
        worst = error;
        if (error != EACCES) return worst;
      }
    }
    if (*at == '\0') return worst;
  }
}

void __attribute__((noreturn)) _start(void) {
  char **args = strings_of("/urunc/args");
  char **env = strings_of("/urunc/env");
  if (args[0] == 0) fail("/urunc/args", ENOENT);
  long error = run(args[0], args, env);
  /* A directory of that name is no program. */
  if ((error == ENOENT || error == EACCES) && !has_slash(args[0])) error = run_along_path(args, env);
  fail(args[0], error);
}
