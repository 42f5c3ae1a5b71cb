/*
 * Files of the host: the container's root, where the host shares that with the guest, and its volumes
 * (lib/plan/shared_files.ts). They are one file system, in which each has a directory of its own.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TAG "urunc"
#define TYPE "virtiofs"
/* Of its device, which a driver that is loaded finds in some milliseconds. */
#define DEVICE_MILLISECONDS 10000
#define STEP_MILLISECONDS 10

/* linux/mount.h, which does not go with sys/mount.h; linux/fcntl.h. */
#define TREE_CLONE 1
#define TREE_RECURSIVE 0x8000
#define MOVE_FROM_FD 4
#define MOVE_FOLLOW 0x30 /* symbolic links, and what is mounted on the way */

/* What a bind has of its own; others are the file system's. */
#define BIND_FLAGS                                                                                       \
  (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME)

/*
 * The file server has each file open that the guest's kernel knows, and what the host's kernel has of it then
 * counts for the container's memory: so many bytes of the guest's memory for one. lib/plan/memory.ts has it, too.
 */
#define BYTES_FOR_A_FILE 32768
#define LOOK_MILLISECONDS 200

static int is_mounted;
/* What says how many inodes the kernel knows, and by which it forgets those that nobody uses (proc(5)). */
static int counter = -1, caches = -1;
/* How many it may know before it is to forget some; that at the least, and at the most. */
static unsigned long most, least, greatest;

int is_shared(const struct mount *it) {
  return strcmp(it->type, TYPE) == 0;
}

/* On the console, of which the waiter shows the last lines. The program does not run without its files. */
static void __attribute__((noreturn)) refuse(const char *doing, const char *what, int error) {
  complain(doing, what, error);
  end_machine(NOT_RUN);
}

/* Whether the kernel has no such device yet: virtio_fs_get_tree(), fs/fuse/virtio_fs.c. */
static int mount_tag(void) {
  return mount(TAG, SHARE, TYPE, 0, NULL) == 0 ? 0 : errno;
}

static int is_needed(const struct process *process) {
  int needed = process->root_is_shared;
  for (size_t i = 0; i < process->mount_count; i++) needed |= is_shared(process->mounts + i);
  return needed;
}

void mount_share(const struct process *process) {
  int error;
  /* A monitor without such a device: copies are there (lib/inspect/copied.ts). */
  if (!is_needed(process) || access(SHARE, F_OK) == 0) return;
  load_module(TYPE);
  mkdir(SHARE, 0700);
  for (int left = DEVICE_MILLISECONDS; (error = mount_tag()) == EINVAL && left > 0;) {
    pass_time(STEP_MILLISECONDS);
    left -= STEP_MILLISECONDS;
  }
  if (error == ENODEV) refuse("share files with the host: the kernel has no driver", TYPE, error);
  if (error != 0) refuse("mount", "the files that the host shares", error);
  is_mounted = 1;
}

/* Those of a file are named so: lib/plan/shared_files.ts. */
static int is_file(const char *path) {
  const char *name = strrchr(path, '/');
  return name != NULL && strcmp(name, "/file") == 0;
}

static int make_file(const char *path) {
  char parent[PATH_MAX];
  if (access(path, F_OK) == 0) return 0;
  if (snprintf(parent, sizeof parent, "%s", path) >= (int)sizeof parent) return ENAMETOOLONG;
  *strrchr(parent, '/') = '\0';
  int error = make_directories(parent);
  int fd = error == 0 ? open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
  if (fd < 0) return error == 0 ? errno : error;
  close(fd);
  return 0;
}

/* Returns an errno. */
static int bind_tree(const char *path, const char *target) {
  char from[PATH_MAX];
  snprintf(from, sizeof from, SHARE_NAME "/%s", path);
  long tree = syscall(SYS_open_tree, own_files, from, TREE_CLONE | TREE_RECURSIVE | O_CLOEXEC);
  if (tree < 0) return errno;
  long moved = syscall(SYS_move_mount, (int)tree, "", AT_FDCWD, target, MOVE_FROM_FD | MOVE_FOLLOW);
  int error = moved < 0 ? errno : 0;
  close((int)tree);
  return error;
}

void mount_shared(const struct mount *it) {
  unsigned long flags = it->flags & BIND_FLAGS;
  int error = is_file(it->options) ? make_file(it->target) : make_directories(it->target);
  if (error != 0) refuse("make", it->target, error);
  error = bind_tree(it->options, it->target);
  if (error != 0) refuse("mount", it->target, error);
  if (flags == 0 || mount(NULL, it->target, NULL, MS_REMOUNT | MS_BIND | flags, NULL) == 0) return;
  refuse("restrict", it->target, errno);
}

/*
 * What is mounted of it elsewhere stays, and the descriptor: a directory of another file system of the host has a
 * superblock of its own, and its writeback is that of the tree. When the last use of the tree's superblock goes, the
 * kernel ends that (generic_shutdown_super(), fs/super.c: bdi_unregister()), and who writes to a mapping waits for
 * it for ever.
 */
void leave_share(const struct process *process) {
  char path[64];
  if (!is_mounted) return;
  int share = openat(own_files, SHARE_NAME, O_PATH | O_CLOEXEC);
  snprintf(path, sizeof path, "/proc/self/fd/%d", share);
  if (share < 0 || umount2(path, MNT_DETACH) < 0) complain("unmount", SHARE, errno);
  counter = open("/proc/sys/fs/inode-nr", O_RDONLY | O_CLOEXEC);
  caches = open("/proc/sys/vm/drop_caches", O_WRONLY | O_CLOEXEC);
  least = (unsigned long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / BYTES_FOR_A_FILE;
  /* Half of them, since it may learn of many between two looks, and some are the server's own. */
  if (least > process->open_files / 2) least = process->open_files / 2;
  greatest = process->open_files - process->open_files / 4;
  most = least;
}

int share_interval(void) {
  return counter < 0 || caches < 0 ? -1 : LOOK_MILLISECONDS;
}

static unsigned long known_inodes(void) {
  char text[64] = "";
  return pread(counter, text, sizeof text - 1, 0) > 0 ? strtoul(text, NULL, 10) : 0;
}

/* 4: no line in the kernel's log each time. */
static void drop(const char *what) {
  static int is_quiet;
  if (!is_quiet) is_quiet = pwrite(caches, "4", 1, 0) == 1;
  if (pwrite(caches, what, 1, 0) < 0) complain("write to", "/proc/sys/vm/drop_caches", errno);
}

/* Those with content in memory stay until that goes, too. What is used stays: it is not tried again for that. */
void forget_files(void) {
  static long last;
  struct timespec now;
  if (share_interval() < 0) return;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  long milliseconds = now.tv_sec * 1000 + now.tv_nsec / 1000000;
  if (milliseconds - last < LOOK_MILLISECONDS) return;
  last = milliseconds;
  unsigned long known = known_inodes();
  if (known > most) {
    drop("2");
    if (known_inodes() > least) drop("3");
    known = known_inodes();
    most = 2 * known;
  }
  if (2 * known < most) most = 2 * known;
  if (most > greatest) most = greatest;
  if (most < least) most = least;
}
