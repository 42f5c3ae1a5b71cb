/*
 * The processes of the guest, for `urunc ps --guest`: a line for each, of what the guest says of itself.
 */
#define _GNU_SOURCE
#include "exec.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* So much of a command line is shown. */
#define COMMAND_MOST 1024

/* The beginning of a file of /proc/PID, with a NUL behind it. Returns its length. */
static ssize_t read_about(const char *pid, const char *name, char *text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%.20s/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t count = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  text[count > 0 ? count : 0] = '\0';
  return count;
}

/* Arguments are apart by a NUL each, and the last has one. */
static void make_line(char *text, size_t count) {
  if (text[count - 1] == '\0') count--;
  for (size_t i = 0; i < count; i++) {
    if ((unsigned char)text[i] < ' ' || text[i] == 127) text[i] = ' ';
  }
}

/* UID PID PARENT STATE COMMAND; the name in brackets for one without a command line, as ps(1) has it. */
static void list_process(const char *pid) {
  char stat[512], status[1024], command[COMMAND_MOST];
  if (read_about(pid, "stat", stat, sizeof stat) <= 0) return;
  if (read_about(pid, "status", status, sizeof status) <= 0) return;
  /* The name may have any characters. */
  char *name = strchr(stat, '('), *rest = strrchr(stat, ')'), *uid = strstr(status, "\nUid:");
  if (name == NULL || rest == NULL || strlen(rest) < 5 || uid == NULL) return;
  *rest = '\0';
  ssize_t count = read_about(pid, "cmdline", command, sizeof command);
  if (count <= 0) count = snprintf(command, sizeof command, "[%s]", name + 1);
  make_line(command, (size_t)count);
  dprintf(1, "%lu %s %d %c %s\n", strtoul(uid + 5, NULL, 10), pid, atoi(rest + 4), rest[2], command);
}

/* All but this one. */
void list_processes(void) {
  DIR *directory = opendir("/proc");
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    int pid = atoi(entry->d_name);
    if (pid > 0 && pid != getpid()) list_process(entry->d_name);
  }
  closedir(directory);
}
