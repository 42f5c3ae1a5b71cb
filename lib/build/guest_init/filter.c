/*
 * The filter of system calls that config.json asks for the program, and for further ones: /urunc/seccomp
 * (lib/guest/initrd/segment.ts).
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FLAGS_SIZE 4

static unsigned int flags;
static struct sock_fprog program;

void load_filter(void) {
  size_t size;
  char *file = contents_of("seccomp", &size);
  if (file == NULL || size < FLAGS_SIZE) return;
  /* A kernel without filters: the program would run nowhere. The guest is the boundary. */
  if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
    complain("filter system calls, as linux.seccomp says, with", "a kernel that was built without filters", errno);
    return;
  }
  memcpy(&flags, file, FLAGS_SIZE);
  program.len = (unsigned short)((size - FLAGS_SIZE) / sizeof *program.filter);
  program.filter = malloc(program.len * sizeof *program.filter);
  if (program.filter == NULL) return complain("keep", "the filter of system calls", errno);
  memcpy(program.filter, file + FLAGS_SIZE, program.len * sizeof *program.filter);
  free(file);
}

int install_filter(void) {
  if (program.filter == NULL) return 0;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0 ? errno : 0;
}
