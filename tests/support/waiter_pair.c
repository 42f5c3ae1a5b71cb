/*
 * Starts waiter and monitor as a container's init does, but for namespaces and privileges:
 *
 *   pair WORD... [-- PROGRAM ARGUMENT...]
 *
 * becomes the waiter, whose child is the monitor's process. WAITER is the program of both. The monitor's
 * process gets the program and the word `fsize`, and all descriptors but 3 and 4, which tests give to the
 * waiter, and those of `ports` and `dns`.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Out of the way of what tests use. */
#define GO 100

static void become_monitor(int connection, int ports, int dns, char *limit, char **program) {
  char *words[64] = {"urunc-monitor", limit}, **next = words + (limit ? 2 : 1);
  for (int fd = 0; fd < 3; fd++) dup2(connection, fd);
  close(connection);
  close(3);
  close(4);
  for (int i = 0; ports && i < 4; i++) close(ports + i);
  if (dns) close(dns);
  while (*program && next < words + 63) *next++ = *program++;
  execv(WAITER, words);
  _exit(127);
}

int main(int argc, char **argv) {
  char *words[64] = {"urunc-waiter"}, monitor[32], go[32];
  int count = 3, ports = 0, dns = 0, ends[2];
  char *limit = 0, **program = argv + argc;
  for (int i = 1; i < argc && count < 63; i++) {
    if (strcmp(argv[i], "--") == 0) {
      program = argv + i;
      break;
    }
    sscanf(argv[i], "ports=%d", &ports);
    sscanf(argv[i], "dns=%d", &dns);
    if (strncmp(argv[i], "fsize=", 6) == 0) limit = argv[i];
    else words[count++] = argv[i];
  }
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return 126;
  pid_t pid = fork();
  if (pid == 0) become_monitor(ends[1], ports, dns, limit, program);
  close(ends[1]);
  dup2(ends[0], GO);
  snprintf(monitor, sizeof monitor, "monitor=%d", pid);
  snprintf(go, sizeof go, "go=%d", GO);
  words[1] = monitor;
  words[2] = go;
  execv(WAITER, words);
  return 126;
}
