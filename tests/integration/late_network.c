/*
 * What a guest's agent does with /urunc/network, as a program of a network namespace: the file is its first
 * argument. It exits when everything is set up.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "../../lib/build/guest_init/network.c"

static const char *file;

void complain(const char *doing, const char *what, int error) {
  fprintf(stderr, "cannot %s %s: %d\n", doing, what, error);
}

char *contents_of(const char *path, size_t *size) {
  static char content[65536] __attribute__((aligned(4)));
  (void)path;
  int fd = open(file, O_RDONLY);
  ssize_t count = read(fd, content, sizeof content);
  *size = count < 0 ? 0 : (size_t)count;
  close(fd);
  return content;
}

int main(int count, char **arguments) {
  if (count != 2) return 2;
  file = arguments[1];
  set_up_network(1);
  while (wait(NULL) > 0) continue;
  return 0;
}
