/*
 * Root of a guest tries to reach files of the host outside of what is shared with it, and to leave there what it
 * may not: a line for each attempt, its name and errno, 0 for success. Its volumes are /data, which it may write
 * to, and /fixed; argument 1 is a directory of the host that is not shared. hostile_guest_test.ts judges.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { ROUNDS = 200, NODES = 64, DEPTH = 6 };

static const char *outside;
static volatile int racing = 1;

#define TRY(name, call) said(#name, (long)(call))

static void said(const char *name, long result) { printf("%s %d\n", name, result < 0 ? errno : 0); }

/* Below the directory of the host, with something before its path. */
static const char *beyond(const char *before, const char *name) {
  static char path[4096];
  snprintf(path, sizeof path, "%s%s/%s", before, outside, name);
  return path;
}

static long reads(const char *path) {
  char byte;
  int fd = open(path, O_RDONLY);
  long count = fd < 0 ? -1 : read(fd, &byte, 1);
  if (fd >= 0) close(fd);
  return count;
}

static long writes(const char *path) {
  int fd = open(path, O_WRONLY | O_CREAT | O_NONBLOCK, 0666);
  long count = fd < 0 ? -1 : write(fd, "x", 1);
  if (fd >= 0) close(fd);
  return count;
}

static void follow_links(void) {
  symlink(beyond("", "secret"), "/data/link");
  symlink(beyond("../../../../../..", "secret"), "/data/relative");
  symlink(beyond("", "made"), "/data/making");
  TRY(link, reads("/data/link"));
  TRY(relative_link, reads("/data/relative"));
  TRY(link_written, writes("/data/making"));
  TRY(link_of_image, reads("/out/secret"));
  TRY(above, reads(beyond("/data/../../../../../..", "secret")));
}

static void take_files_of_others(void) {
  TRY(read_private, reads("/data/private"));
  TRY(write_theirs, writes("/data/theirs"));
  TRY(truncate_theirs, truncate("/data/theirs", 0));
  TRY(mode_of_theirs, chmod("/data/theirs", 06777));
  TRY(own_theirs, chown("/data/theirs", 0, 0));
  TRY(theirs_in_fixed, rename("/data/theirs", "/fixed/theirs"));
  TRY(link_across, link("/fixed/kept", "/data/kept"));
}

static void make_what_others_would_run(void) {
  /* vfs_cap_data of version 2. */
  static const unsigned all[5] = {0x02000001, ~0u, 0, ~0u, 0};
  writes("/data/program");
  TRY(own_mine, chown("/data/program", 0, 0));
  TRY(set_uid, chmod("/data/program", 06755));
  TRY(capability, setxattr("/data/program", "security.capability", all, sizeof all, 0));
  TRY(trusted, setxattr("/data", "trusted.overlay.opaque", "y", 1, 0));
  TRY(disk, mknod("/data/made-disk", S_IFBLK | 0666, makedev(8, 0)));
  TRY(memory, mknod("/data/made-memory", S_IFCHR | 0666, makedev(1, 1)));
  TRY(disk_of_host, reads("/data/disk"));
}

/*
 * Root may mount what is shared once more: the kernel then takes the one of its file systems with this tag that
 * it knows latest, which is that of the last volume.
 */
static void mount_again(void) {
  TRY(write_fixed, writes("/fixed/made"));
  mkdir("/again", 0777);
  TRY(again, mount("urunc", "/again", "virtiofs", 0, ""));
  TRY(fixed_again_read, reads("/again/kept"));
  TRY(fixed_again, writes("/again/kept"));
  TRY(over_shares, mkdir("/again/made", 0777));
  TRY(above_again, reads(beyond("/again/../..", "secret")));
}

static long connects(void) {
  struct sockaddr_un name = {.sun_family = AF_UNIX, .sun_path = "/data/socket"};
  int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  long result = connect(fd, (struct sockaddr *)&name, sizeof name);
  close(fd);
  return result;
}

/* Whether the file can be read above a directory, however high. */
static int is_above(int fd) {
  char before[3 * DEPTH + 1] = "";
  for (int i = 0; i < DEPTH; i++) {
    strcat(before, "../");
    int found = openat(fd, beyond(before, "secret"), O_RDONLY);
    if (found >= 0) return close(found), 1;
  }
  return 0;
}

/* As fs/fuse/inode.c makes them: a node by its number, whichever the guest was told of. */
static void open_by_handle(void) {
  struct { struct file_handle head; unsigned node[2], generation; } handle = {{12, 0x81}, {0, 0}, 0};
  int mount = open("/data", O_RDONLY), opened = 0, found = 0;
  for (handle.node[1] = 1; handle.node[1] <= NODES; handle.node[1]++) {
    int fd = open_by_handle_at(mount, &handle.head, O_RDONLY);
    if (fd < 0) continue;
    opened++;
    found += is_above(fd);
    close(fd);
  }
  printf("# %d handles opened\n", opened);
  printf("handles_found %d\n", found);
}

static void *exchange(void *unused) {
  while (racing) renameat2(AT_FDCWD, "/data/one", AT_FDCWD, "/data/two", RENAME_EXCHANGE);
  return unused;
}

/* A directory and a link to the host's change places while files in it are opened. */
static void race(void) {
  pthread_t other;
  int found = 0;
  mkdir("/data/one", 0777);
  symlink(outside, "/data/two");
  pthread_create(&other, 0, exchange, 0);
  for (int i = 0; i < ROUNDS; i++) {
    found += reads("/data/one/secret") >= 0;
    writes("/data/two/made");
  }
  racing = 0;
  pthread_join(other, 0);
  printf("race_found %d\n", found);
}

/* The host moves the directory out of the volume meanwhile. */
static void stay_behind(void) {
  mkdir("/data/moved", 0777);
  mkdir("/data/moved/deep", 0777);
  int deep = open("/data/moved/deep", O_RDONLY);
  chdir("/data/moved/deep");
  puts("ready");
  for (int i = 0; i < 6000 && access("/data/go", F_OK) < 0; i++) usleep(20000);
  TRY(moved_here, reads("../../secret"));
  TRY(moved_by_descriptor, openat(deep, "../../secret", O_RDONLY));
  TRY(moved_by_name, reads("/data/moved/../secret"));
}

int main(int count, char **words) {
  if (count < 2) return 2;
  outside = words[1];
  setvbuf(stdout, 0, _IOLBF, 0);
  follow_links();
  take_files_of_others();
  make_what_others_would_run();
  TRY(socket, connects());
  mount_again();
  open_by_handle();
  race();
  stay_behind();
  puts("done");
  return 0;
}
