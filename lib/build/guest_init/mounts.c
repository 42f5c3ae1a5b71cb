/*
 * The file systems of the program's surroundings: those of config.json that the guest's kernel makes, and
 * what the program must not see or write to, in the order in which runc does it.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DEVICES "/dev"
#define MEMORY "tmpfs"
/* The same, with a copy of what its place has: lib/guest/initrd/process.ts. */
#define COPIES "tmpcopyup"
/* A page: mount(2). */
#define OPTION_BYTES 4096
/* A driver that is loaded finds its disks in some milliseconds. */
#define DISK_MILLISECONDS 10000
#define STEP_MILLISECONDS 10

/* Names that runc gives every container in /dev; the kernel's devtmpfs has the nodes. */
static const char *const LINKS[][2] = {
    {"/proc/self/fd", "/dev/fd"},
    {"/proc/self/fd/0", "/dev/stdin"},
    {"/proc/self/fd/1", "/dev/stdout"},
    {"/proc/self/fd/2", "/dev/stderr"},
    {"/proc/kcore", "/dev/core"},
};

/* The specification's nodes (config-linux.md, "Default Devices"), for a kernel without devtmpfs. */
static const struct {
  const char *path;
  unsigned major, minor;
} NODES[] = {
    {"/dev/null", 1, 3},   {"/dev/zero", 1, 5},    {"/dev/full", 1, 7}, {"/dev/random", 1, 8},
    {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0}, {"/dev/ptmx", 5, 2},
};

static void make_devices(void) {
  mode_t mask = umask(0);
  mkdir(DEVICES, 0755);
  mount("devtmpfs", DEVICES, "devtmpfs", MS_NOSUID, "mode=755");
  for (size_t i = 0; i < sizeof NODES / sizeof *NODES; i++) {
    mknod(NODES[i].path, S_IFCHR | 0666, makedev(NODES[i].major, NODES[i].minor));
  }
  umask(mask);
  for (size_t i = 0; i < sizeof LINKS / sizeof *LINKS; i++) {
    if (symlink(LINKS[i][0], LINKS[i][1]) < 0) continue;
  }
}

/* The number of a disk; 0: there is none, which is said. */
static dev_t number_of(const char *disk) {
  char path[64];
  struct stat status;
  snprintf(path, sizeof path, DEVICES "/%s", disk);
  for (int left = DISK_MILLISECONDS; stat(path, &status) < 0; left -= STEP_MILLISECONDS) {
    if (left <= 0) return complain("find the disk", path, errno), (dev_t)0;
    pass_time(STEP_MILLISECONDS);
  }
  return status.st_rdev;
}

static void make_device(const struct device *it, dev_t number) {
  char directory[PATH_MAX];
  snprintf(directory, sizeof directory, "%.*s", (int)(strrchr(it->path, '/') - it->path), it->path);
  int error = make_directories(directory);
  /* It may have the name of another disk, or its own. */
  unlink(it->path);
  if (error == 0 && (mknod(it->path, S_IFBLK | it->mode, number) < 0 ||
                     chown(it->path, it->uid, it->gid) < 0 || chmod(it->path, it->mode) < 0)) {
    error = errno;
  }
  if (error != 0) complain("make", it->path, error);
}

/* All are found before any is made. */
static void name_disks(const struct process *process) {
  dev_t numbers[MOST_DEVICES];
  for (size_t i = 0; i < process->device_count; i++) numbers[i] = number_of(process->devices[i].disk);
  for (size_t i = 0; i < process->device_count; i++) {
    if (numbers[i] != 0) make_device(process->devices + i, numbers[i]);
  }
}

/* What a kernel was built without, or has mounted there already, is not an error. */
static int is_usual(int error) {
  return error == ENODEV || error == EBUSY;
}

static int make_read_only(const char *path);

static int open_place(const char *path) {
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Has the mode of its place, where options say no other; and what is there, where they ask for that. */
static int mount_in_memory(const struct mount *it) {
  char options[OPTION_BYTES];
  struct stat status;
  int is_there = stat(it->target, &status) == 0;
  int copies = strcmp(it->type, COPIES) == 0;
  int error = make_directories(it->target);
  if (error != 0) return error;
  int place = copies ? open_place(it->target) : -1;
  if (copies && place < 0) return errno;
  int length = is_there ? snprintf(options, sizeof options, "mode=%o,%s", status.st_mode & 07777, it->options)
                        : snprintf(options, sizeof options, "%s", it->options);
  unsigned long flags = copies ? it->flags & ~MS_RDONLY : it->flags;
  if (length >= (int)sizeof options) error = E2BIG;
  else if (mount(MEMORY, it->target, MEMORY, flags, options) < 0) error = errno;
  if (!copies) return error;
  if (error != 0) return close(place), error;
  error = copy_files(place, open_place(it->target));
  if (error == 0 && it->flags & MS_RDONLY && make_read_only(it->target) < 0) error = errno;
  return error;
}

static int mount_kernels(const struct mount *it) {
  if (strcmp(it->type, MEMORY) == 0 || strcmp(it->type, COPIES) == 0) return mount_in_memory(it);
  int error = make_directories(it->target);
  if (error == 0 && mount(it->type, it->target, it->type, it->flags, it->options) < 0) error = errno;
  return error;
}

static void mount_one(const struct mount *it) {
  if (is_shared(it)) return mount_shared(it);
  int error = mount_kernels(it);
  /* No cgroups, no directory for them in /sys. */
  if (error == 0 || is_usual(error) || strncmp(it->target, "/sys/", 5) == 0) return;
  complain("mount", it->target, error);
}

void mount_file_systems(const struct process *process) {
  make_devices();
  name_disks(process);
  for (size_t i = 0; i < process->mount_count; i++) mount_one(process->mounts + i);
  leave_share(process);
}

static void __attribute__((noreturn)) fail(const char *doing, const char *what, int error) {
  complain(doing, what, error);
  _exit(NOT_RUN);
}

/* Flags of a mount that a remount would take away. Those of statvfs(3) are the ones of mount(2). */
static unsigned long flags_of(const char *path) {
  struct statvfs status;
  if (statvfs(path, &status) < 0) return 0;
  return status.f_flag & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
                          MS_RELATIME);
}

static int make_read_only(const char *path) {
  return mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags_of(path), NULL);
}

static void protect(const char *path) {
  if (mount(path, path, NULL, MS_BIND | MS_REC, NULL) == 0 && make_read_only(path) == 0) return;
  if (errno != ENOENT) fail("make read-only", path, errno);
}

/* A directory is empty, a file reads as one. */
static void mask(const char *path) {
  if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0 || errno == ENOENT) return;
  if (errno == ENOTDIR && mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL) == 0) return;
  fail("mask", path, errno);
}

/* In the place of the agent's, which shows all of the guest's processes. */
static void mount_own_proc(const struct process *process) {
  umount2("/proc", MNT_DETACH);
  for (size_t i = 0; i < process->mount_count; i++) {
    if (strcmp(process->mounts[i].target, "/proc") == 0) mount_one(process->mounts + i);
  }
}

void confine_program(const struct process *process, int has_pid_namespace, const char *console) {
  if (has_pid_namespace) mount_own_proc(process);
  if (console && mount(console, "/dev/console", NULL, MS_BIND, NULL) < 0 && errno != ENOENT) {
    fail("mount", "/dev/console", errno);
  }
  int error = make_directories(process->cwd);
  if (error != 0) fail("make", process->cwd, error);
  for (size_t i = 0; i < process->read_only_count; i++) protect(process->read_only[i]);
  for (size_t i = 0; i < process->masked_count; i++) mask(process->masked[i]);
  int is_read_only = process->read_only_root || root_is_layered();
  if (is_read_only && make_read_only("/") < 0) fail("make read-only", "/", errno);
}
