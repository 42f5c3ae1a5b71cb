/*
 * A root on a disk, or one that the host shares: the agent mounts it, and moves into it, in place of the
 * initial RAM disk's own init (README.md). The drivers come from that RAM disk.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where the root is mounted before it is moved: in the directory that is not emptied. */
#define PLACE "/urunc/root"
/* Memory over a root that may only be read, and both together. */
#define LAYER "/urunc/layer"
#define WHOLE "/urunc/whole"
/* A driver that is loaded finds its disks in some milliseconds; and how long what the program has left
 * may take to end. */
#define DISK_MILLISECONDS 10000
#define END_MILLISECONDS 2000
#define STEP_MILLISECONDS 10

#define KIB 1024

/* What a disk may have, and by which bytes it is known: those of libblkid. */
static const struct kind {
  const char *type, *magic;
  size_t size;
  off_t at;
  int is_root;
} KINDS[] = {
    {"LUKS", "LUKS\xba\xbe", 6, 0, 0},
    {"LVM", "LABELONE", 8, 512, 0},
    /* ext2 and ext3, too: the driver of ext4 mounts all three. */
    {"ext4", "\x53\xef", 2, KIB + 56, 1},
    {"xfs", "XFSB", 4, 0, 1},
    {"squashfs", "hsqs", 4, 0, 1},
    {"btrfs", "_BHRfS_M", 8, 64 * KIB + 64, 1},
    {"erofs", "\xe2\xe1\xf5\xe0", 4, KIB, 1},
    {"partitions", "\x55\xaa", 2, 510, 0},
};
/* With a version of its metadata at the end, it has a file system at the beginning. */
static const struct kind RAID = {"RAID", "\xfc\x4e\x2b\xa9", 4, 0, 0};
static const struct kind UNKNOWN = {"nothing that is known", "", 0, 0, 0};

/* Checksums, by drivers that file systems ask modprobe(8) for. */
static const char *const CHECKSUMS[] = {"crc32c_generic", "libcrc32c"};

static int is_rooted, is_read_only, is_layered, is_on_disk;
/* Of the directory that stays. */
static struct stat ram_disk;

/* On the console, of which the waiter shows the last lines. */
static void __attribute__((noreturn)) refuse(const char *doing, const char *what, int error) {
  static const char REMEDY[] =
      "urunc: com.urunc.unikernel.agent: none leaves the root to the image's own init\n";
  complain(doing, what, error);
  if (write(2, REMEDY, sizeof REMEDY - 1) < 0) error = EIO;
  end_machine(NOT_RUN);
}

static int has_at(int disk, const struct kind *kind, off_t at) {
  char found[8];
  if (at < 0 || pread(disk, found, kind->size, at) != (ssize_t)kind->size) return 0;
  return memcmp(found, kind->magic, kind->size) == 0;
}

/* Versions 1.1, 1.2, 1.0 and 0.90: md(4), linux/raid/md_p.h. */
static int is_raid(int disk) {
  off_t end = lseek(disk, 0, SEEK_END);
  return has_at(disk, &RAID, 0) || has_at(disk, &RAID, 4 * KIB) ||
         has_at(disk, &RAID, (end - 8 * KIB) & ~(off_t)(4 * KIB - 1)) ||
         has_at(disk, &RAID, (end & ~(off_t)(64 * KIB - 1)) - 64 * KIB);
}

static const struct kind *kind_of(int disk) {
  if (is_raid(disk)) return &RAID;
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
    if (has_at(disk, &KINDS[i], KINDS[i].at)) return &KINDS[i];
  }
  return &UNKNOWN;
}

static int open_disk(const char *path) {
  for (int left = DISK_MILLISECONDS;; left -= STEP_MILLISECONDS) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) return fd;
    if (left <= 0) refuse("find the root, for which the kernel may have no driver,", path, errno);
    pass_time(STEP_MILLISECONDS);
  }
}

static const char *type_on(const char *path) {
  char what[256];
  int disk = open_disk(path);
  const struct kind *kind = kind_of(disk);
  close(disk);
  snprintf(what, sizeof what, "%s: it has %s", path, kind->type);
  if (!kind->is_root) refuse("mount the root", what, ENODEV);
  return kind->type;
}

static void mount_root(const char *path) {
  const char *type = type_on(path);
  for (size_t i = 0; i < sizeof CHECKSUMS / sizeof *CHECKSUMS; i++) load_module(CHECKSUMS[i]);
  load_module(type);
  mkdir(PLACE, 0700);
  if (mount(path, PLACE, type, is_read_only ? MS_RDONLY : 0, NULL) < 0) {
    char what[256];
    snprintf(what, sizeof what, "%s as %s", path, type);
    refuse("mount the root", what, errno);
  }
}

/* Without these nothing runs, and images need not have them: other runtimes make them. */
static const char *const MOUNT_POINTS[] = {"/proc", "/sys", "/dev"};

static int is_below_mount_points(const char *path) {
  for (size_t i = 0; i < sizeof MOUNT_POINTS / sizeof *MOUNT_POINTS; i++) {
    size_t length = strlen(MOUNT_POINTS[i]);
    if (strncmp(path, MOUNT_POINTS[i], length) == 0 && path[length] == '/') return 1;
  }
  return 0;
}

/* A link that is absolute there leads elsewhere here: then it counts as missing. */
static int lacks(const char *path) {
  char place[PATH_MAX];
  struct stat status;
  if (is_below_mount_points(path)) return 0;
  return snprintf(place, sizeof place, PLACE "%s", path) >= (int)sizeof place || stat(place, &status) < 0;
}

static int lacks_mount_points(const struct process *process) {
  for (size_t i = 0; i < sizeof MOUNT_POINTS / sizeof *MOUNT_POINTS; i++) {
    if (lacks(MOUNT_POINTS[i])) return 1;
  }
  for (size_t i = 0; i < process->mount_count; i++) {
    if (lacks(process->mounts[i].target)) return 1;
  }
  return lacks(process->cwd);
}

/* Where a root that cannot be written to has no directory for a mount, it gets one in memory. For the program
 * it may only be read all the same: confine_program(). */
static const char *add_layer(void) {
  static const char OPTIONS[] = "lowerdir=" PLACE ",upperdir=" LAYER "/upper,workdir=" LAYER "/work";
  struct stat status;
  load_module("overlay");
  mkdir(LAYER, 0700);
  mkdir(WHOLE, 0700);
  if (mount("tmpfs", LAYER, "tmpfs", MS_NOSUID | MS_NODEV, "mode=700") < 0 ||
      stat(PLACE, &status) < 0 || mkdir(LAYER "/upper", 0755) < 0 ||
      chown(LAYER "/upper", status.st_uid, status.st_gid) < 0 ||
      chmod(LAYER "/upper", status.st_mode & 07777) < 0 || mkdir(LAYER "/work", 0700) < 0 ||
      mount("overlay", WHOLE, "overlay", 0, OPTIONS) < 0) {
    complain("add directories to", "a root that may only be read", errno);
    return PLACE;
  }
  is_layered = 1;
  return WHOLE;
}

int root_is_layered(void) {
  return is_layered;
}

static void empty(int directory);

static void remove_entry(int directory, const char *name) {
  struct stat status;
  if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return;
  if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) < 0) return;
  /* What is mounted there; and what is read later. */
  if (status.st_dev != ram_disk.st_dev || status.st_ino == ram_disk.st_ino) return;
  if (!S_ISDIR(status.st_mode)) {
    unlinkat(directory, name, 0);
    return;
  }
  int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) empty(fd);
  unlinkat(directory, name, AT_REMOVEDIR);
}

/* Takes the descriptor. */
static void empty(int directory) {
  DIR *entries = fdopendir(directory);
  if (entries == NULL) return;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    remove_entry(directory, entry->d_name);
  }
  closedir(entries);
}

/* The files of the RAM disk are the guest's memory. */
static void empty_ram_disk(void) {
  int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory >= 0 && fstat(own_files, &ram_disk) == 0) empty(directory);
}

static void mount_disk(const char *name) {
  char path[64];
  mkdir("/dev", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=755");
  snprintf(path, sizeof path, "/dev/%s", name);
  mount_root(path);
  is_on_disk = 1;
}

static void bind_shared_root(void) {
  mkdir(PLACE, 0700);
  if (mount(SHARE "/root", PLACE, NULL, MS_BIND, NULL) < 0) refuse("mount the root", SHARE "/root", errno);
}

/* The kernel's own way into a root: prepare_namespace(), init/do_mounts.c. */
void enter_root(const struct process *process) {
  mount_share(process);
  if (process->root == NULL && !process->root_is_shared) return;
  is_read_only = process->root_is_read_only;
  if (process->root_is_shared) bind_shared_root();
  else mount_disk(process->root);
  const char *root = is_read_only && lacks_mount_points(process) ? add_layer() : PLACE;
  empty_ram_disk();
  if (chdir(root) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
      chdir("/") < 0) {
    refuse("enter the root", root, errno);
  }
  is_rooted = 1;
}

/* A journal is not replayed then. What has been killed may still have files. */
void leave_root(void) {
  sync();
  if (!is_rooted || is_read_only || !is_on_disk) return;
  for (int left = END_MILLISECONDS; left > 0; left -= STEP_MILLISECONDS) {
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL) == 0) return;
    pass_time(STEP_MILLISECONDS);
  }
}
