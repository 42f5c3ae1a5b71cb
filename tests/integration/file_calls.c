/*
 * What file systems promise programs, a case each: `file_calls DIRECTORY [UID]` makes a directory of its own
 * there, for UID when that is given, and prints a line for each case, its name and what came of it. Cases are
 * processes: one that is killed or does not end is a result, too.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/fs.h>

/* Seconds that a case may take: guests are emulated, on machines that are very busy. */
#define PATIENCE 300

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static char text[1024];

/* Adds a word to the case's result. */
static void say(const char *format, ...) {
  size_t used = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  if (used > 0) text[used++] = ' ';
  vsnprintf(text + used, sizeof text - used, format, arguments);
  va_end(arguments);
}

/* Adds how a call ended: `ok`, or its error's name. */
static long said(const char *what, long result) {
  say("%s=%s", what, result < 0 ? strerrorname_np(errno) : "ok");
  return result;
}

/* For what a case depends on. */
static int must(const char *what, long result) {
  if (result >= 0) return (int)result;
  said(what, result);
  puts(text);
  exit(0);
}

static int make(const char *name, const char *content) {
  int file = must(name, open(name, O_RDWR | O_CREAT | O_TRUNC, 0644));
  must("write", write(file, content, strlen(content)));
  return file;
}

static struct stat stat_of(const char *name) {
  struct stat found = {0};
  must(name, lstat(name, &found));
  return found;
}

static void say_content(int file) {
  char content[64] = "";
  ssize_t count = pread(file, content, sizeof content - 1, 0);
  say("[%.*s]", (int)(count < 0 ? 0 : count), content);
}

/* In another process, whose result is an errno. */
static int other(int (*act)(void)) {
  pid_t pid = fork();
  if (pid == 0) _exit(act() < 0 ? errno : 0);
  int status = 0;
  waitpid(pid, &status, 0);
  errno = WEXITSTATUS(status);
  return errno ? -1 : 0;
}

static void create(void) {
  said("new", open("a", O_CREAT | O_EXCL | O_WRONLY, 0640));
  said("again", open("a", O_CREAT | O_EXCL | O_WRONLY, 0640));
  say("mode=%o", stat_of("a").st_mode);
  umask(077);
  said("masked", mkdir("b", 0777));
  say("mode=%o", stat_of("b").st_mode);
}

static void open_flags(void) {
  make("a", "content");
  must("mkdir", mkdir("b", 0755));
  must("symlink", symlink("a", "c"));
  said("file", open("a", O_RDONLY | O_DIRECTORY));
  said("directory", open("b", O_RDWR));
  said("link", open("c", O_RDONLY | O_NOFOLLOW));
  said("path", open("c", O_PATH | O_NOFOLLOW));
  said("sync", open("a", O_WRONLY | O_SYNC));
  said("noatime", open("a", O_RDONLY | O_NOATIME));
  said("truncate", open("a", O_WRONLY | O_TRUNC));
  say("size=%ld", stat_of("a").st_size);
}

static void hard_link(void) {
  int file = make("a", "content");
  said("link", link("a", "b"));
  say("links=%ld same=%d", stat_of("b").st_nlink, stat_of("a").st_ino == stat_of("b").st_ino);
  must("write", pwrite(file, "C", 1, 0));
  say_content(must("b", open("b", O_RDONLY)));
  said("existing", link("a", "b"));
  must("mkdir", mkdir("c", 0755));
  said("directory", link("c", "d"));
  char path[32];
  sprintf(path, "/proc/self/fd/%d", file);
  said("descriptor", linkat(AT_FDCWD, path, AT_FDCWD, "e", AT_SYMLINK_FOLLOW));
}

static void symbolic_link(void) {
  char target[PATH_MAX] = "", longest[PATH_MAX];
  memset(longest, 'x', sizeof longest - 1);
  longest[sizeof longest - 1] = 0;
  said("symlink", symlink("nowhere", "a"));
  say("length=%zd size=%ld", readlink("a", target, sizeof target), stat_of("a").st_size);
  say("%s", target);
  said("dangling", open("a", O_RDONLY));
  said("longest", symlink(longest, "b"));
  said("itself", symlink("c", "c"));
  said("loop", open("c", O_RDONLY));
}

static void rename_flags(void) {
  make("a", "a");
  make("b", "b");
  must("mkdir", mkdir("c", 0755));
  must("mkdir", mkdir("d", 0755));
  make("d/x", "");
  said("noreplace", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE));
  said("exchange", renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
  say_content(must("a", open("a", O_RDONLY)));
  said("replace", rename("a", "b"));
  said("new", renameat2(AT_FDCWD, "b", AT_FDCWD, "a", RENAME_NOREPLACE));
  said("full", rename("c", "d"));
  said("empty", rename("d", "c"));
  said("below", rename("c", "c/y"));
  said("over", rename("a", "c"));
  said("whiteout", renameat2(AT_FDCWD, "a", AT_FDCWD, "e", RENAME_WHITEOUT));
}

static void unlinked(void) {
  int file = make("a", "content");
  said("unlink", unlink("a"));
  struct stat found;
  said("fstat", fstat(file, &found));
  say("links=%ld", found.st_nlink);
  said("write", pwrite(file, "more", 4, 7));
  said("truncate", ftruncate(file, 9));
  said("chmod", fchmod(file, 0600));
  say_content(file);
  said("again", open("a", O_CREAT | O_EXCL, 0644));
  must("mkdir", mkdir("b", 0755));
  must("chdir", chdir("b"));
  said("rmdir", rmdir("../b"));
  said("inside", open("x", O_CREAT | O_WRONLY, 0644));
  char path[PATH_MAX];
  said("getcwd", getcwd(path, sizeof path) ? 0 : -1);
}

static void renamed_over(void) {
  int file = make("a", "old");
  make("b", "new");
  said("rename", rename("b", "a"));
  say_content(file);
  say_content(must("a", open("a", O_RDONLY)));
}

static void truncated(void) {
  int file = make("a", "content");
  said("shorter", truncate("a", 3));
  said("longer", ftruncate(file, 6));
  char content[8] = "";
  say("read=%zd %d%d%d", read(must("a", open("a", O_RDONLY)), content, 8), content[3], content[4], content[5]);
  said("negative", ftruncate(file, -1));
  said("huge", ftruncate(file, 1L << 40));
  say("size=%ld blocks=%ld", stat_of("a").st_size, stat_of("a").st_blocks > 64);
}

static void allocated(void) {
  int file = make("a", "");
  said("plain", fallocate(file, 0, 0, 1 << 20));
  say("size=%ld blocks=%d", stat_of("a").st_size, stat_of("a").st_blocks >= 2048);
  said("keep", fallocate(file, FALLOC_FL_KEEP_SIZE, 1 << 20, 1 << 20));
  must("write", pwrite(file, "x", 1, 8192));
  said("punch", fallocate(file, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 8192, 4096));
  char byte = 'y';
  must("read", pread(file, &byte, 1, 8192));
  say("byte=%d", byte);
  said("zero", fallocate(file, FALLOC_FL_ZERO_RANGE, 0, 4096));
  said("collapse", fallocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 4096));
  said("insert", fallocate(file, FALLOC_FL_INSERT_RANGE, 0, 4096));
  say("size=%ld", stat_of("a").st_size);
}

static void mapped(void) {
  int file = make("a", "content");
  must("longer", ftruncate(file, 8192));
  char *shared = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (shared == MAP_FAILED) {
    said("mmap", -1);
    return;
  }
  memcpy(shared, "CON", 3);
  say_content(file);
  must("write", pwrite(file, "TENT", 4, 3));
  say("%s", shared);
  strcpy(shared + 4096, "second");
  said("msync", msync(shared, 8192, MS_SYNC));
  char content[8] = "";
  must("read", pread(must("a", open("a", O_RDONLY)), content, 7, 4096));
  say("%s", content);
  char *private = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  private[0] = '-';
  say_content(file);
}

/* Whoever writes waits until some of it is on the disk. */
static void mapped_pages(void) {
  int file = make("a", "");
  must("longer", ftruncate(file, 1 << 20));
  char *shared = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  for (int at = 0; at < 1 << 20; at += 4096) shared[at] = 'x';
  say("written=%d", shared[0] == 'x');
}

static void mapped_beyond(void) {
  int file = make("a", "content");
  volatile char *shared = mmap(0, 4096, PROT_READ, MAP_SHARED, file, 0);
  must("shorter", ftruncate(file, 0));
  say("%d", shared[0]);
}

static void appended(void) {
  make("a", "");
  int one = must("a", open("a", O_WRONLY | O_APPEND)), two = must("a", open("a", O_WRONLY | O_APPEND));
  for (int round = 0; round < 3; round++) {
    must("write", write(one, "1", 1));
    must("write", write(two, "2", 1));
  }
  must("write", pwrite(one, "3", 1, 0));
  say_content(must("a", open("a", O_RDONLY)));
  for (int process = 0; process < 4; process++) {
    if (fork() > 0) continue;
    int file = open("b", O_WRONLY | O_APPEND | O_CREAT, 0644);
    for (int line = 0; line < 25; line++) write(file, "a line of it\n", 13);
    _exit(0);
  }
  while (wait(NULL) > 0) continue;
  say("size=%ld", stat_of("b").st_size);
}

static void direct(void) {
  int file = open("a", O_RDWR | O_CREAT | O_DIRECT, 0644);
  if (said("open", file) < 0) return;
  char *block = aligned_alloc(4096, 8192);
  memset(block, 'x', 8192);
  said("write", pwrite(file, block, 4096, 0));
  said("read", pread(file, block, 4096, 0));
  said("unaligned", pwrite(file, block + 1, 511, 0));
  say("size=%ld", stat_of("a").st_size);
}

static int lock_of(short type) {
  struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 4};
  return fcntl(open("a", O_RDWR), F_SETLK, &lock);
}

static int write_lock(void) { return lock_of(F_WRLCK); }
static int read_lock(void) { return lock_of(F_RDLCK); }
static int whole_lock(void) { return flock(open("a", O_RDWR), LOCK_EX | LOCK_NB); }

static void record_locks(void) {
  int file = make("a", "content");
  struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 4};
  said("read", fcntl(file, F_SETLK, &lock));
  said("another", other(read_lock));
  said("against", other(write_lock));
  lock.l_type = F_WRLCK;
  said("write", fcntl(file, F_SETLK, &lock));
  said("against", other(read_lock));
  lock.l_type = F_UNLCK;
  said("unlock", fcntl(file, F_SETLK, &lock));
  said("free", other(write_lock));
  lock.l_type = F_WRLCK;
  said("description", fcntl(file, F_OFD_SETLK, &lock));
  said("against", other(write_lock));
}

static void whole_locks(void) {
  int file = make("a", "content");
  said("shared", flock(file, LOCK_SH));
  said("against", other(whole_lock));
  said("unlock", flock(file, LOCK_UN));
  said("free", other(whole_lock));
  close(make("b", ""));
  said("lease", fcntl(must("b", open("b", O_RDONLY)), F_SETLEASE, F_RDLCK));
}

static void attributes(void) {
  int file = make("a", "");
  char value[64] = "", names[256];
  said("set", setxattr("a", "user.one", "1", 1, 0));
  said("create", setxattr("a", "user.one", "2", 1, XATTR_CREATE));
  said("fset", fsetxattr(file, "user.two", "22", 2, XATTR_CREATE));
  say("got=%zd%s", getxattr("a", "user.two", value, sizeof value), value);
  said("missing", getxattr("a", "user.none", value, sizeof value));
  said("small", getxattr("a", "user.two", value, 1));
  ssize_t length = said("list", listxattr("a", names, sizeof names));
  int count = 0;
  for (char *name = names; name < names + length; name += strlen(name) + 1) count += strncmp(name, "user.", 5) == 0;
  say("count=%d", count);
  said("remove", removexattr("a", "user.one"));
  must("symlink", symlink("a", "b"));
  said("link", lsetxattr("b", "user.one", "1", 1, 0));
}

static void other_attributes(void) {
  make("a", "");
  /* VFS_CAP_REVISION_2 and CAP_NET_RAW, which is what ping may have. */
  static const uint32_t capability[] = {0x02000001, 1 << 13, 0, 0, 0};
  said("trusted", setxattr("a", "trusted.one", "1", 1, 0));
  said("capability", setxattr("a", "security.capability", capability, sizeof capability, 0));
}

/* ACL_USER_OBJ, ACL_USER 7, ACL_GROUP_OBJ, ACL_MASK, ACL_OTHER: linux/posix_acl_xattr.h. */
static void access_lists(void) {
  static const struct {
    uint32_t version;
    struct {
      uint16_t tag, permissions;
      uint32_t id;
    } entries[5];
  } list = {2, {{1, 6, -1u}, {2, 6, 7}, {4, 4, -1u}, {16, 6, -1u}, {32, 4, -1u}}};
  make("a", "");
  must("mkdir", mkdir("b", 0755));
  said("access", setxattr("a", "system.posix_acl_access", &list, sizeof list, 0));
  say("mode=%o", stat_of("a").st_mode);
  said("default", setxattr("b", "system.posix_acl_default", &list, sizeof list, 0));
}

static void modes(void) {
  make("a", "content");
  must("mkdir", mkdir("b", 0755));
  said("all", chmod("a", 07777));
  say("%o", stat_of("a").st_mode);
  must("write", write(must("a", open("a", O_WRONLY)), "C", 1));
  say("written=%o", stat_of("a").st_mode);
  must("chmod", chmod("a", 06755));
  must("truncate", truncate("a", 2));
  say("truncated=%o", stat_of("a").st_mode);
  must("chmod", chmod("a", 06755));
  said("chown", chown("a", getuid(), getgid()));
  say("given=%o", stat_of("a").st_mode);
  said("directory", chmod("b", 03777));
  must("mkdir", mkdir("b/c", 0755));
  say("%o inner=%o", stat_of("b").st_mode, stat_of("b/c").st_mode);
}

static void owners(void) {
  make("a", "");
  must("symlink", symlink("a", "b"));
  say("own=%d", stat_of("a").st_uid == getuid());
  said("give", chown("a", 7, 8));
  say("%d:%d", stat_of("a").st_uid == 7, stat_of("a").st_gid == 8);
  said("link", lchown("b", 7, 8));
  said("none", chown("a", -1, -1));
}

static void times(void) {
  make("a", "");
  must("symlink", symlink("a", "b"));
  struct timespec given[] = {{1000000001, 123456789}, {1000000002, 987654321}}, parts[] = {{0, UTIME_OMIT}, {5, 7}};
  said("set", utimensat(AT_FDCWD, "a", given, 0));
  struct stat found = stat_of("a");
  say("%ld.%ld %ld.%ld", found.st_atim.tv_sec, found.st_atim.tv_nsec, found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
  said("omit", utimensat(AT_FDCWD, "a", parts, 0));
  found = stat_of("a");
  say("%ld %ld.%ld", found.st_atim.tv_sec, found.st_mtim.tv_sec, found.st_mtim.tv_nsec);
  said("link", utimensat(AT_FDCWD, "b", given, AT_SYMLINK_NOFOLLOW));
  say("%ld", stat_of("b").st_mtim.tv_sec);
  said("now", utimensat(AT_FDCWD, "a", NULL, 0));
  say("%d", stat_of("a").st_mtim.tv_sec > 1000000002);
  int file = must("a", open("a", O_WRONLY));
  must("set", futimens(file, given));
  must("write", write(file, "x", 1));
  say("written=%d", stat_of("a").st_mtim.tv_sec > 1000000002);
}

static void sizes(void) {
  struct statvfs found;
  said("statvfs", statvfs(".", &found));
  say("block=%lu name=%lu free=%d files=%d", found.f_bsize, found.f_namemax, found.f_bavail > 0, found.f_files > 0);
  char name[300];
  memset(name, 'n', sizeof name);
  name[255] = 0;
  said("longest", open(name, O_CREAT | O_WRONLY, 0644));
  name[255] = 'n', name[256] = 0;
  said("longer", open(name, O_CREAT | O_WRONLY, 0644));
  said("bytes", open("\xff\x01 \n", O_CREAT | O_WRONLY, 0644));
}

static void holes(void) {
  int file = make("a", "");
  must("longer", ftruncate(file, 1 << 20));
  must("write", pwrite(file, "x", 1, 512 << 10));
  say("blocks=%d", stat_of("a").st_blocks < 64);
  say("data=%ld", lseek(file, 0, SEEK_DATA));
  say("hole=%ld", lseek(file, 512 << 10, SEEK_HOLE));
  said("after", lseek(file, 768 << 10, SEEK_DATA));
  said("beyond", lseek(file, 2 << 20, SEEK_HOLE));
  char byte = 'y';
  must("read", pread(file, &byte, 1, 100));
  say("byte=%d", byte);
}

/* How many entries it has, without itself and its parent. */
static int entries(const char *path, int removing) {
  int count = 0;
  DIR *directory = opendir(path);
  for (struct dirent *it; directory && (it = readdir(directory));) {
    if (it->d_name[0] == '.') continue;
    count++;
    if (removing) must("unlink", unlinkat(dirfd(directory), it->d_name, 0));
  }
  closedir(directory);
  return count;
}

static void listed(void) {
  char name[16];
  must("mkdir", mkdir("a", 0755));
  for (int index = 0; index < 100; index++) {
    sprintf(name, "a/%d", index);
    close(make(name, ""));
  }
  say("listed=%d", entries("a", 0));
  say("removed=%d", entries("a", 1));
  say("left=%d", entries("a", 0));
  said("rmdir", rmdir("a"));
}

static void positions(void) {
  for (const char *name = "abcdef"; *name; name++) close(make((char[]){*name, 0}, ""));
  DIR *directory = opendir(".");
  for (int skipped = 0; skipped < 4; skipped++) readdir(directory);
  long position = telldir(directory);
  char first[256];
  strcpy(first, readdir(directory)->d_name);
  while (readdir(directory)) continue;
  seekdir(directory, position);
  say("same=%d", strcmp(first, readdir(directory)->d_name) == 0);
  rewinddir(directory);
  close(make("g", ""));
  say("entries=%d", entries(".", 0));
}

static void types(void) {
  close(make("a", ""));
  must("mkdir", mkdir("b", 0755));
  must("symlink", symlink("a", "c"));
  must("mkfifo", mkfifo("d", 0644));
  DIR *directory = opendir(".");
  int found[4] = {0};
  for (struct dirent *it; (it = readdir(directory));) {
    if (it->d_name[0] >= 'a' && it->d_name[0] <= 'd') found[it->d_name[0] - 'a'] = it->d_type;
  }
  say("%d %d %d %d", found[0], found[1], found[2], found[3]);
}

static void pipes(void) {
  said("fifo", mknod("a", S_IFIFO | 0644, 0));
  if (fork() == 0) _exit(write(open("a", O_WRONLY), "through", 7) != 7);
  char content[8] = "";
  must("read", read(must("a", open("a", O_RDONLY)), content, 7));
  say("%s", content);
}

static void sockets(void) {
  struct sockaddr_un name = {AF_UNIX, "socket"};
  int server = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
  said("bind", bind(server, (struct sockaddr *)&name, sizeof name));
  must("listen", listen(server, 1));
  said("connect", connect(client, (struct sockaddr *)&name, sizeof name));
  say("%o", stat_of("socket").st_mode & S_IFMT);
}

static void devices(void) {
  said("null", mknod("a", S_IFCHR | 0666, makedev(1, 3)));
  said("whiteout", mknod("b", S_IFCHR, makedev(0, 0)));
  said("regular", mknod("c", S_IFREG | 0644, 0));
}

static void watched(void) {
  int watch = inotify_init1(IN_NONBLOCK);
  said("add", inotify_add_watch(watch, ".", IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_DELETE | IN_CLOSE_WRITE | IN_ATTRIB));
  close(make("a", "content"));
  must("chmod", chmod("a", 0600));
  must("rename", rename("a", "b"));
  must("unlink", unlink("b"));
  char events[4096] __attribute__((aligned(8)));
  ssize_t length = read(watch, events, sizeof events);
  for (ssize_t at = 0; at < length;) {
    struct inotify_event *event = (void *)(events + at);
    say("%x", event->mask);
    at += sizeof *event + event->len;
  }
}

static void copies(void) {
  int from = make("a", "content"), to = make("b", "");
  off_t start = 0, end = 0;
  say("sent=%zd", sendfile(to, from, &start, 7));
  say_content(to);
  start = 0;
  said("range", copy_file_range(from, &start, to, &end, 7, 0));
  int ends[2];
  must("pipe", pipe(ends));
  start = 0;
  say("in=%zd", splice(from, &start, ends[1], 0, 7, 0));
  say("out=%zd", splice(ends[0], 0, to, &(loff_t){7}, 7, 0));
  say_content(to);
  said("clone", ioctl(to, FICLONE, from));
}

static void nameless(void) {
  int file = open(".", O_TMPFILE | O_RDWR, 0600);
  if (said("open", file) < 0) return;
  must("write", write(file, "content", 7));
  char path[32];
  sprintf(path, "/proc/self/fd/%d", file);
  said("link", linkat(AT_FDCWD, path, AT_FDCWD, "a", AT_SYMLINK_FOLLOW));
  say("size=%ld", stat_of("a").st_size);
}

static void synced(void) {
  int file = make("a", "content"), directory = must(".", open(".", O_RDONLY));
  said("fsync", fsync(file));
  said("fdatasync", fdatasync(file));
  said("directory", fsync(directory));
  said("syncfs", syncfs(file));
  said("range", sync_file_range(file, 0, 7, SYNC_FILE_RANGE_WRITE));
}

static void executed(void) {
  int from = must("itself", open("/proc/self/exe", O_RDONLY)), to = must("a", open("a", O_WRONLY | O_CREAT, 0755));
  while (sendfile(to, from, NULL, 1 << 20) > 0) continue;
  close(to);
  int ends[2];
  must("pipe", pipe(ends));
  pid_t pid = fork();
  if (pid == 0) {
    close(ends[0]);
    dup2(ends[1], 1);
    execl("a", "a", "--wait", (char *)0);
    _exit(errno);
  }
  close(ends[1]);
  char byte = 0;
  say("runs=%zd", read(ends[0], &byte, 1));
  said("write", open("a", O_WRONLY));
  kill(pid, SIGKILL);
  int status;
  waitpid(pid, &status, 0);
  say("ended=%d", WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status));
  must("chmod", chmod("a", 0644));
  if (fork() == 0) _exit(execl("a", "a", (char *)0) < 0 ? errno : 0);
  wait(&status);
  say("plain=%s", strerrorname_np(WEXITSTATUS(status)));
}

static void handles(void) {
  make("a", "");
  struct {
    struct file_handle head;
    char bytes[128];
  } handle = {.head.handle_bytes = 128};
  int mount;
  said("name", name_to_handle_at(AT_FDCWD, "a", &handle.head, &mount, 0));
}

static void flags(void) {
  int file = make("a", ""), found = 0;
  said("get", ioctl(file, FS_IOC_GETFLAGS, &found));
  found |= FS_NODUMP_FL;
  said("set", ioctl(file, FS_IOC_SETFLAGS, &found));
}

static void permissions(void) {
  make("a", "content");
  must("mkdir", mkdir("b", 0755));
  make("b/x", "");
  must("chmod", chmod("a", 0));
  must("chmod", chmod("b", 0));
  said("read", open("a", O_RDONLY));
  said("access", access("a", R_OK | W_OK));
  said("search", open("b/x", O_RDONLY));
  said("list", open("b", O_RDONLY));
  said("own", chmod("b", 0755));
}

static void numbers(void) {
  int file = make("a", "");
  struct statx found;
  said("statx", statx(AT_FDCWD, "a", 0, STATX_ALL, &found));
  say("birth=%d", (found.stx_mask & STATX_BTIME) != 0);
  said("far", pwrite(file, "x", 1, (1L << 43) - 1));
  say("size=%ld", stat_of("a").st_size);
  struct iovec parts[] = {{"ab", 2}, {"cd", 2}};
  say("vector=%zd", pwritev2(file, parts, 2, 0, RWF_SYNC));
  must("mkdir", mkdir("b", 0755));
  must("mkdir", mkdir("b/c", 0755));
  say("links=%ld", stat_of("b").st_nlink);
}

static void many(void) {
  struct stat found;
  char name[16];
  int open_ones = 0;
  for (int index = 0; index < 100; index++) {
    sprintf(name, "%d", index);
    open_ones += open(name, O_RDWR | O_CREAT, 0644) >= 0;
  }
  say("open=%d", open_ones);
  said("first", fstat(3, &found));
}

static const struct {
  const char *name;
  void (*run)(void);
} CASES[] = {
  {"create", create}, {"open flags", open_flags}, {"hard link", hard_link}, {"symbolic link", symbolic_link},
  {"rename flags", rename_flags}, {"unlinked", unlinked}, {"renamed over", renamed_over}, {"truncate", truncated},
  {"fallocate", allocated}, {"mmap", mapped}, {"mmap beyond", mapped_beyond}, {"mmap pages", mapped_pages},
  {"append", appended},
  {"direct", direct}, {"record locks", record_locks}, {"whole locks", whole_locks}, {"xattr", attributes},
  {"other xattr", other_attributes}, {"acl", access_lists}, {"modes", modes}, {"owners", owners}, {"times", times},
  {"sizes", sizes}, {"holes", holes}, {"listing", listed}, {"positions", positions}, {"types", types},
  {"fifo", pipes}, {"socket", sockets}, {"devices", devices}, {"inotify", watched}, {"copies", copies},
  {"nameless", nameless}, {"sync", synced}, {"exec", executed}, {"handles", handles}, {"flags", flags},
  {"permissions", permissions}, {"numbers", numbers}, {"many", many},
};

/* In a directory of its own, as a process. */
static void run_case(size_t index) {
  fflush(stdout);
  pid_t pid = fork();
  if (pid == 0) {
    char name[16];
    sprintf(name, "case-%zu", index);
    if (mkdir(name, 0755) < 0 || chdir(name) < 0) exit(errno);
    alarm(PATIENCE);
    umask(022);
    CASES[index].run();
    puts(text);
    exit(0);
  }
  int status;
  waitpid(pid, &status, 0);
  if (WIFSIGNALED(status)) printf("signal %s\n", sigabbrev_np(WTERMSIG(status)));
  else if (status != 0) printf("exit %d\n", WEXITSTATUS(status));
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "--wait") == 0) return write(1, "w", 1) == 1 ? pause() : 1;
  if (count < 2 || chdir(arguments[1]) < 0) return 2;
  uid_t user = count > 2 ? (uid_t)atoi(arguments[2]) : getuid();
  char work[32];
  sprintf(work, "calls-%u", user);
  if (mkdir(work, 0755) < 0) return 3;
  /* Where all files are one user's, that changes nothing. */
  if (user != getuid() && chown(work, user, user) < 0) return 4;
  if (chdir(work) < 0) return 5;
  if (user != getuid() && (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0)) {
    return 6;
  }
  for (size_t index = 0; index < COUNT(CASES); index++) {
    printf("%s: ", CASES[index].name);
    run_case(index);
  }
  return 0;
}
