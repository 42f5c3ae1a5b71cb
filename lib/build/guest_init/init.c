/*
 * The first program of a Linux guest that gets its arguments and environment in the initial RAM disk
 * (lib/guest/initrd/). The kernel's command line cannot carry them: it has 2048 bytes and 32 variables,
 * no escapes, and is visible in the host's ps.
 *
 * /urunc/args: the program and its arguments, /urunc/env: NAME=VALUE; each ends with a NUL. /urunc/network,
 * where there is one, sets up the interface first.
 *
 * /urunc/modules, where it is there, has drivers, which are loaded before anything else. As modprobe
 * it is what the kernel executes when it wants one of those that wait for that.
 *
 * With /urunc/process it is the guest's agent (README.md): it runs the program as a child. Without, it
 * executes the program in its own place. One that cannot be run is reported on the console, and QEMU exits
 * with a shell's code: 127 not found, 126 otherwise. Without the debug exit device the kernel panics, as
 * for every init that exits.
 */
#define _GNU_SOURCE
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

/* -device isa-debug-exit,iobase=0x501,iosize=2 */
#define DEBUG_EXIT 0x501
/* QEMU exits in another thread, which may wait for a processor; the panic of a kernel whose first program
 * has exited would take its exit code. Seconds. */
#define QEMU_EXIT 3

/* One write: lines of others are not in between. */
void complain(const char *doing, const char *what, int error) {
  char text[512], digits[12];
  char *digit = digits + sizeof digits - 1;
  *digit = '\0';
  do *--digit = (char)('0' + error % 10);
  while ((error /= 10) != 0);

  const char *parts[] = {"urunc: cannot ", doing, " ", what, ": errno ", digit, "\n"};
  size_t length = 0;
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    size_t more = strnlen(parts[i], sizeof text - length);
    memcpy(text + length, parts[i], more);
    length += more;
  }
  if (write(2, text, length) < 0) return;
}

int code_for(int error) {
  return error == ENOENT || error == ENOTDIR ? NOT_FOUND : NOT_RUN;
}

/* The kernel has executed it for a module, beside the first program. */
static int is_modprobe;

/* A reset is a guest's success. */
void end_machine(int code) {
  leave_root();
  if (code == 0) reboot(RB_AUTOBOOT);
  if (ioperm(DEBUG_EXIT, 2, 1) == 0) {
    outb((unsigned char)code, DEBUG_EXIT);
    sleep(QEMU_EXIT);
  }
  _exit(code);
}

static void __attribute__((noreturn)) fail(const char *what, int error) {
  complain("run", what, error);
  if (is_modprobe) _exit(1);
  end_machine(code_for(error));
}

int own_files = AT_FDCWD;

/* A whole file, in memory that is never freed; NULL if it does not exist. */
char *contents_of(const char *path, size_t *size) {
  int fd = openat(own_files, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 && errno == ENOENT) return NULL;
  if (fd < 0) fail(path, errno);
  off_t length = lseek(fd, 0, SEEK_END);
  if (length < 0) fail(path, errno);

  char *content = malloc((size_t)length + 1);
  if (content == NULL) fail(path, ENOMEM);
  for (off_t done = 0; done < length;) {
    ssize_t count = pread(fd, content + done, (size_t)(length - done), done);
    if (count <= 0) fail(path, count == 0 ? ENOENT : errno);
    done += count;
  }
  close(fd);
  *size = (size_t)length;
  content[length] = '\0';
  return content;
}

/* The strings of a text, each ended by a NUL, as a vector for execve. */
char **strings_in(char *text, size_t size) {
  size_t count = 0;
  for (size_t at = 0; at < size; at++) count += text[at] == '\0';
  char **strings = malloc((count + 1) * sizeof *strings);
  if (strings == NULL) fail("a program", ENOMEM);
  char *next = text;
  for (size_t index = 0; index < count; index++) {
    strings[index] = next;
    next += strlen(next) + 1;
  }
  strings[count] = NULL;
  return strings;
}

static char **strings_of(const char *path) {
  size_t size;
  char *text = contents_of(path, &size);
  if (text == NULL) fail(path, ENOENT);
  return strings_in(text, size);
}

static struct process process;

int main(int argc, char **argv) {
  /* `modprobe -q -- ALIAS`: call_modprobe() in the kernel. */
  char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
  is_modprobe = name != NULL && strcmp(name, "/modprobe") == 0;
  if (is_modprobe) {
    *name = '\0';
    return load_asked(argv[0], argv[argc - 1]);
  }
  own_files = open("/urunc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  process.args = strings_of("args");
  process.env = strings_of("env");
  if (process.args[0] == NULL) fail("/urunc/args", ENOENT);
  load_node_drivers();
  size_t size;
  char *text = contents_of("process", &size);
  if (text != NULL) {
    if (!parse_process(text, size, &process)) fail("/urunc/process", EINVAL);
    agent(&process);
  }
  remove_node_drivers();
  set_up_network(0);
  fail(process.args[0], run_program(process.args, process.env));
}
