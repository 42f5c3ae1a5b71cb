/*
 * The first program of a Linux guest that gets its arguments and environment in the initial RAM disk
 * (lib/guest/initrd/): it executes the container's program with exactly these. The kernel's command line
 * cannot carry them: it has 2048 bytes and 32 variables, no escapes, and is visible in the host's ps.
 *
 * /urunc/args: the program and its arguments, /urunc/env: NAME=VALUE; each ends with a NUL. A program
 * without a slash is searched for in the working directory, as a Linux kernel does for its init, and
 * then in PATH, as in any container.
 *
 * /urunc/network, where there is one, sets up the interface first (lib/guest/initrd/network.ts):
 * ip= on the command line supports IPv4 only, and only in kernels with CONFIG_IP_PNP. If the interface
 * does not exist yet, because its driver is a module, a child waits until the guest has brought it up, and
 * then adds IPv6, which only it knows.
 *
 * A program that cannot be run is reported on the console, and QEMU exits with a shell's code: 127 not
 * found, 126 otherwise. Without the debug exit device the kernel panics, as for every init that exits.
 *
 * Freestanding: Linux's system calls, no libc.
 */

#define AT_FDCWD -100
#define ENOENT 2
#define ENOTDIR 20
#define EACCES 13
#define EEXIST 17
#define EOPNOTSUPP 95
#define EAFNOSUPPORT 97
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
#define SYS_socket 41
#define SYS_sendto 44
#define SYS_recvfrom 45
#define SYS_bind 49
#define SYS_fork 57
#define SYS_execve 59
#define SYS_exit 60
#define SYS_ioperm 173
#define SYS_openat 257

/* -device isa-debug-exit,iobase=0x501,iosize=2 */
#define DEBUG_EXIT 0x501
#define NOT_FOUND 127
#define NOT_RUN 126

#define PATH_MAX 4096

/* linux/netlink.h, linux/rtnetlink.h, linux/if_link.h */
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_RAW_CLOEXEC (3 | 02000000)
#define NETLINK_ROUTE 0
#define NLM_F_REQUEST 0x1
#define NLM_F_DUMP 0x300
#define NLMSG_ERROR 2
#define NLMSG_DONE 3
#define RTM_NEWLINK 16
#define RTM_GETLINK 18
#define RTM_NEWROUTE 24
#define RTMGRP_LINK 1
#define IFLA_ADDRESS 1
#define IFF_UP 1
#define NLMSG_HDRLEN 16
#define IFINFOMSG_SIZE 16
#define MAC_SIZE 6
/* Where a message has its interface: struct ifinfomsg and ifaddrmsg alike; the first attribute of a
 * route, RTA_OIF, behind struct rtmsg. */
#define INDEX_AT (NLMSG_HDRLEN + 4)
#define LINK_FLAGS_AT (NLMSG_HDRLEN + 8)
#define ROUTE_INDEX_AT (NLMSG_HDRLEN + 12 + 4)

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

static void complain(const char *doing, const char *what, long error) {
  char digits[24];
  char *at = digits + sizeof digits - 1;
  *at = '\0';
  do *--at = (char)('0' + error % 10);
  while ((error /= 10) != 0);
  say(doing);
  say(what);
  say(": errno ");
  say(at);
  say("\n");
}

static void __attribute__((noreturn)) fail(const char *what, long error) {
  unsigned char code = error == ENOENT || error == ENOTDIR ? NOT_FOUND : NOT_RUN;
  complain("urunc: cannot run ", what, error);
  if (call(SYS_ioperm, DEBUG_EXIT, 2, 1, 0, 0, 0) == 0) {
    __asm__ volatile("outb %0, %1" : : "a"(code), "d"((unsigned short)DEBUG_EXIT));
  }
  for (;;) call(SYS_exit, code, 0, 0, 0, 0, 0);
}

/* Memory that is never freed: an exec follows. */
static void *allocate(size_type size, const char *what) {
  long address = call(SYS_mmap, 0, (long)(size + 1), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address < 0 && address > -4096) fail(what, -address);
  return (void *)address;
}

/* A whole file; 0 if it does not exist. */
static char *contents_of(const char *path, long *size) {
  long fd = call(SYS_openat, AT_FDCWD, (long)path, 0, 0, 0, 0);
  if (fd == -ENOENT) return 0;
  if (fd < 0) fail(path, -fd);
  *size = call(SYS_lseek, fd, 0, SEEK_END, 0, 0, 0);
  if (*size < 0) fail(path, -*size);
  call(SYS_lseek, fd, 0, SEEK_SET, 0, 0, 0);

  char *content = allocate((size_type)*size, path);
  for (long done = 0; done < *size;) {
    long count = call(SYS_read, fd, (long)(content + done), *size - done, 0, 0, 0);
    if (count <= 0) fail(path, count == 0 ? ENOENT : -count);
    done += count;
  }
  call(SYS_close, fd, 0, 0, 0, 0, 0);
  return content;
}

/* The strings of a file as a vector for execve. */
static char **strings_of(const char *path) {
  long size;
  char *text = contents_of(path, &size);
  if (text == 0) fail(path, ENOENT);

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

static unsigned int *word_at(char *bytes, long offset) {
  return (unsigned int *)(bytes + offset);
}

static unsigned short half_at(const char *bytes, long offset) {
  return *(const unsigned short *)(bytes + offset);
}

static long open_netlink(unsigned int groups) {
  /* struct sockaddr_nl */
  struct { unsigned short family, pad; unsigned int port, groups; } name = {AF_NETLINK, 0, 0, groups};
  long fd = call(SYS_socket, AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE, 0, 0, 0);
  if (fd < 0) return fd;
  long result = call(SYS_bind, fd, (long)&name, sizeof name, 0, 0, 0);
  return result < 0 ? result : fd;
}

static char received[32768] __attribute__((aligned(4)));

static long receive(long fd) {
  return call(SYS_recvfrom, fd, (long)received, sizeof received, 0, 0, 0);
}

static int has_mac(const char *message, long length, const char *mac) {
  for (long at = NLMSG_HDRLEN + IFINFOMSG_SIZE; at + 4 <= length;) {
    long size = half_at(message, at);
    if (size < 4 || at + size > length) return 0;
    if (half_at(message, at + 2) == IFLA_ADDRESS && size == 4 + MAC_SIZE) {
      for (long byte = 0; byte < MAC_SIZE; byte++) {
        if (message[at + 4 + byte] != mac[byte]) return 0;
      }
      return 1;
    }
    at += (size + 3) & ~3;
  }
  return 0;
}

/* The index of the interface with this address and these flags in what was received; 0: it is not there;
 * -1: end of the list. */
static long find_in_received(long count, const char *mac, unsigned int flags) {
  for (long at = 0; at + NLMSG_HDRLEN <= count;) {
    char *message = received + at;
    long length = *word_at(message, 0);
    if (length < NLMSG_HDRLEN || at + length > count) return 0;
    if (half_at(message, 4) == NLMSG_DONE || half_at(message, 4) == NLMSG_ERROR) return -1;
    if (half_at(message, 4) == RTM_NEWLINK && has_mac(message, length, mac) &&
        (*word_at(message, LINK_FLAGS_AT) & flags) == flags) {
      return *word_at(message, INDEX_AT);
    }
    at += (length + 3) & ~3;
  }
  return 0;
}

static long first_link(long fd, const char *mac) {
  struct { unsigned int length; unsigned short type, flags; unsigned int sequence, port; char info[16]; }
      request = {32, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0, {0}};
  long index = call(SYS_sendto, fd, (long)&request, sizeof request, 0, 0, 0);
  while (index >= 0) {
    long count = receive(fd);
    if (count < 0) return count;
    index = find_in_received(count, mac, 0);
    if (index > 0) return index;
  }
  return 0;
}

static char *next_message(char *message) {
  return message + ((*word_at(message, 0) + 3) & ~3u);
}

/* The family is the first byte of every message's structure. */
static int has_inet6(char *messages, const char *end) {
  for (char *message = messages; message < end; message = next_message(message)) {
    if (message[NLMSG_HDRLEN] == AF_INET6) return 1;
  }
  return 0;
}

static void set_up(char *messages, const char *end, unsigned int index, int is_late) {
  long fd = open_netlink(0);
  if (fd < 0) return complain("urunc: cannot set up ", "the network", -fd);
  for (char *message = messages; message < end; message = next_message(message)) {
    /* An init that loads drivers handles ip= as well, perhaps at the same time. */
    if (is_late && message[NLMSG_HDRLEN] != AF_INET6) continue;
    unsigned int *at =
        word_at(message, half_at(message, 4) == RTM_NEWROUTE ? ROUTE_INDEX_AT : INDEX_AT);
    if (*at == 0) *at = index;
    call(SYS_sendto, fd, (long)message, *word_at(message, 0), 0, 0, 0);
    long count = receive(fd);
    long error = count < 0 ? -count : -(int)*word_at(received, NLMSG_HDRLEN);
    /* Done by the kernel, by ip=; or the kernel was built without this family. */
    if (error == 0 || error == EEXIST || error == EOPNOTSUPP || error == EAFNOSUPPORT) continue;
    complain("urunc: cannot set up ", "the network", error);
  }
  call(SYS_close, fd, 0, 0, 0, 0, 0);
}

/* /urunc/network: the interface's address (6 bytes), 2 unused bytes, netlink messages with 0 in place of
 * the interface's index. */
static void set_up_network(void) {
  long size;
  char *content = contents_of("/urunc/network", &size);
  if (content == 0) return;
  char *messages = content + 8, *end = content + size;

  /* Subscribes before it looks, so that no change in between is missed. */
  long fd = open_netlink(RTMGRP_LINK);
  if (fd < 0) return complain("urunc: cannot set up ", "the network", -fd);
  long index = first_link(fd, content);
  if (index > 0) {
    set_up(messages, end, (unsigned int)index, 0);
  } else if (has_inet6(messages, end) && call(SYS_fork, 0, 0, 0, 0, 0, 0) == 0) {
    while (index <= 0) {
      long count = receive(fd);
      if (count < 0) break;
      index = find_in_received(count, content, IFF_UP);
    }
    if (index > 0) set_up(messages, end, (unsigned int)index, 1);
    for (;;) call(SYS_exit, 0, 0, 0, 0, 0, 0);
  }
  call(SYS_close, fd, 0, 0, 0, 0, 0);
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

/* Returns the error of a file that exists rather than ENOENT, as execvp(3) does. */
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
  set_up_network();
  long error = run(args[0], args, env);
  /* A directory with that name is not a program. */
  if ((error == ENOENT || error == EACCES) && !has_slash(args[0])) error = run_along_path(args, env);
  fail(args[0], error);
}
