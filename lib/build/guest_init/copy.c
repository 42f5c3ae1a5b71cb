/*
 * What a file system in memory begins with where `tmpcopyup` asks for it: what the directory has over which it is
 * mounted, as runc copies it: content, owners, modes, times; no extended attributes.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

/* At once; sendfile(2) has a limit of its own. */
#define MOST_BYTES (1 << 20)

/* Takes the descriptors; one that is negative could not be opened. Returns an errno. */
static int copy_bytes(int from, int to) {
  ssize_t sent = to < 0 ? -1 : 1;
  while (sent > 0) sent = sendfile(to, from, NULL, MOST_BYTES);
  int error = sent < 0 ? errno : 0;
  close(from);
  close(to);
  return error;
}

static int open_directory(int parent, const char *name) {
  return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int copy_link(int from, int to, const char *name) {
  char target[PATH_MAX];
  ssize_t length = readlinkat(from, name, target, sizeof target - 1);
  if (length < 0) return errno;
  target[length] = '\0';
  return symlinkat(target, to, name) < 0 ? errno : 0;
}

static int copy_content(int from, int to, const char *name, const struct stat *status) {
  int file;
  switch (status->st_mode & S_IFMT) {
    case S_IFDIR:
      if (mkdirat(to, name, 0700) < 0) return errno;
      return copy_files(open_directory(from, name), open_directory(to, name));
    case S_IFREG:
      file = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
      if (file < 0) return errno;
      return copy_bytes(file, openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    case S_IFLNK:
      return copy_link(from, to, name);
    default:
      return mknodat(to, name, status->st_mode, status->st_rdev) < 0 ? errno : 0;
  }
}

static int copy_entry(int from, int to, const char *name) {
  struct stat status;
  if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return errno;
  int error = copy_content(from, to, name, &status);
  if (error != 0) return error;
  struct timespec times[] = {status.st_atim, status.st_mtim};
  /* The owner first: another one takes set-uid bits away. */
  if (fchownat(to, name, status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
      (!S_ISLNK(status.st_mode) && fchmodat(to, name, status.st_mode & 07777, 0) < 0) ||
      utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0) {
    return errno;
  }
  return 0;
}

int copy_files(int from, int to) {
  DIR *entries = from < 0 || to < 0 ? NULL : fdopendir(from);
  int error = entries == NULL ? errno : 0;
  for (struct dirent *entry; error == 0 && (entry = readdir(entries)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    error = copy_entry(from, to, entry->d_name);
  }
  if (entries != NULL) closedir(entries);
  else close(from);
  close(to);
  return error;
}
