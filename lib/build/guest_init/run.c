/* How a program is run: as whom, with which limits, and where it is found. */
#define _GNU_SOURCE
#include "exec_protocol.h"
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* capabilities(7): the masks have so many bits. */
#define CAPABILITIES 64

static const char *variable(char **env, const char *name) {
  size_t length = strlen(name);
  for (; *env; env++) {
    if (strncmp(*env, name, length) == 0 && (*env)[length] == '=') return *env + length + 1;
  }
  return NULL;
}

static int run(const char *program, char **args, char **env) {
  execve(program, args, env);
  return errno;
}

/* Returns the error of a file that exists rather than ENOENT, as execvp(3) does. */
static int run_along_path(char **args, char **env) {
  static char candidate[PATH_MAX];
  const char *at = variable(env, "PATH");
  if (at == NULL) at = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  size_t length = strlen(args[0]);
  int worst = ENOENT;
  for (;; at++) {
    size_t size = strcspn(at, ":");
    if (size > 0 && size + 1 + length < sizeof candidate) {
      memcpy(candidate, at, size);
      candidate[size] = '/';
      memcpy(candidate + size + 1, args[0], length + 1);
      int error = run(candidate, args, env);
      if (error != ENOENT && error != ENOTDIR) {
        worst = error;
        if (error != EACCES) return worst;
      }
    }
    at += size;
    if (*at == '\0') return worst;
  }
}

/* A program without a slash is searched for in the working directory, as a Linux kernel does for its init,
 * and then in PATH, as in any container. Returns an errno. */
int run_program(char **args, char **env) {
  int error = run(args[0], args, env);
  /* A directory with that name is not a program. */
  if ((error != ENOENT && error != EACCES) || strchr(args[0], '/') != NULL) return error;
  return run_along_path(args, env);
}

/* A number and the character behind it, which is passed over; 0 when it is not like that. */
static int take(const char **text, int base, char stop, uint64_t *value) {
  char *end;
  errno = 0;
  if (**text < '0' || **text > 'f') return 0;
  *value = strtoull(*text, &end, base);
  if (errno != 0 || end == *text || *end != stop) return 0;
  *text = end + (stop != '\0');
  return 1;
}

static int take_id(const char *text, unsigned *id) {
  uint64_t value;
  if (!take(&text, 10, '\0', &value) || value >= UINT32_MAX) return 0;
  *id = (unsigned)value;
  return 1;
}

static int take_groups(const char *text, struct process *process) {
  size_t count = 1;
  for (const char *at = text; *at; at++) count += *at == ',';
  process->groups = malloc(count * sizeof *process->groups);
  if (process->groups == NULL) return 0;
  for (size_t i = 0; i < count; i++) {
    uint64_t id;
    if (!take(&text, 10, i + 1 == count ? '\0' : ',', &id) || id >= UINT32_MAX) return 0;
    process->groups[i] = (gid_t)id;
  }
  process->group_count = count;
  return 1;
}

/* TYPE:SOFT:HARD, the type by its number. */
static int take_limit(const char *text, struct process *process) {
  uint64_t type, soft, hard;
  if (process->limit_count == MOST_LIMITS) return 0;
  if (!take(&text, 10, ':', &type) || type >= RLIM_NLIMITS) return 0;
  if (!take(&text, 10, ':', &soft) || !take(&text, 10, '\0', &hard)) return 0;
  process->limits[process->limit_count].type = (int)type;
  process->limits[process->limit_count++].value = (struct rlimit){soft, hard};
  return 1;
}

static int append(char *text, char ***list, size_t *count) {
  char **longer = realloc(*list, (*count + 1) * sizeof *longer);
  if (longer == NULL) return 0;
  *list = longer;
  longer[(*count)++] = text;
  return 1;
}

static int take_sysctl(char *text, struct process *process) {
  return strchr(text, '=') != NULL && append(text, &process->sysctls, &process->sysctl_count);
}

static int take_path(char *text, char ***list, size_t *count) {
  return text[0] == '/' && append(text, list, count);
}

/* Up to a space, which becomes its end. */
static const char *take_word(char **text) {
  char *word = *text, *end = strchr(word, ' ');
  if (end == NULL) return NULL;
  *end = '\0';
  *text = end + 1;
  return word;
}

/* FLAGS TYPE OPTIONS TARGET: the flags of mount(2) in hexadecimal; options may be empty. */
static int take_mount(char *text, struct process *process) {
  struct mount *mounts = realloc(process->mounts, (process->mount_count + 1) * sizeof *mounts);
  uint64_t flags;
  const char *at = text;
  if (mounts == NULL) return 0;
  process->mounts = mounts;
  if (!take(&at, 16, ' ', &flags)) return 0;
  text += at - text;
  struct mount *mount = mounts + process->mount_count++;
  mount->flags = flags;
  mount->type = take_word(&text);
  mount->options = mount->type ? take_word(&text) : NULL;
  mount->target = text;
  return mount->options != NULL && text[0] == '/';
}

/* MODE UID GID DISK PATH: the mode in octal, the path below /dev. */
static int take_device(char *text, struct process *process) {
  uint64_t mode, uid, gid;
  const char *at = text;
  if (process->device_count == MOST_DEVICES) return 0;
  if (!take(&at, 8, ' ', &mode) || !take(&at, 10, ' ', &uid) || !take(&at, 10, ' ', &gid)) return 0;
  text += at - text;
  const char *disk = take_word(&text);
  process->devices[process->device_count++] =
      (struct device){(mode_t)mode & 0777, (uid_t)uid, (gid_t)gid, disk, text};
  return disk != NULL && strchr(disk, '/') == NULL && strncmp(text, "/dev/", 5) == 0;
}

/* Five masks in hexadecimal, with colons. */
static int take_capabilities(const char *text, struct process *process) {
  return take(&text, 16, ':', &process->bounding) && take(&text, 16, ':', &process->effective) &&
         take(&text, 16, ':', &process->inheritable) && take(&text, 16, ':', &process->permitted) &&
         take(&text, 16, '\0', &process->ambient);
}

/* DISK:ro or DISK:rw, the disk by its name in /dev. */
static int take_root(char *text, struct process *process) {
  char *colon = strchr(text, ':');
  if (colon == NULL || colon == text || strchr(text, '/') != NULL) return 0;
  *colon++ = '\0';
  process->root = text;
  process->root_is_read_only = strcmp(colon, "ro") == 0;
  return process->root_is_read_only || strcmp(colon, "rw") == 0;
}

/* ro or rw. */
static int take_shared_root(const char *text, struct process *process) {
  process->root_is_shared = 1;
  process->root_is_read_only = strcmp(text, "ro") == 0;
  return process->root_is_read_only || strcmp(text, "rw") == 0;
}

static int is_named(const char **text, const char *name) {
  size_t length = strlen(name);
  if (strncmp(*text, name, length) != 0) return 0;
  *text += length;
  return 1;
}

/* Those of which there may be any number. */
static int parse_listed(char *record, struct process *process) {
  const char *text = record;
  char *value = strchr(record, '=') + 1;
  if (is_named(&text, "sysctl=")) return take_sysctl(value, process);
  if (is_named(&text, "mount=")) return take_mount(value, process);
  if (is_named(&text, "device=")) return take_device(value, process);
  if (is_named(&text, "masked=")) return take_path(value, &process->masked, &process->masked_count);
  return is_named(&text, "read-only=") &&
         take_path(value, &process->read_only, &process->read_only_count);
}

/* One NAME=VALUE. Returns whether it is one. */
int parse_record(char *record, struct process *process) {
  const char *text = record;
  if (is_named(&text, "root=")) return take_root(record + (text - record), process);
  if (is_named(&text, "shared-root=")) return take_shared_root(text, process);
  if (is_named(&text, "uid=")) return take_id(text, &process->uid);
  if (is_named(&text, "gid=")) return take_id(text, &process->gid);
  if (is_named(&text, "groups=")) return take_groups(text, process);
  if (is_named(&text, "umask=")) return take_id(text, &process->umask);
  if (is_named(&text, "open-files=")) return take_id(text, &process->open_files);
  if (is_named(&text, "limit=")) return take_limit(text, process);
  if (is_named(&text, "capabilities=")) return take_capabilities(text, process);
  if (is_named(&text, "cwd=")) return (process->cwd = text)[0] == '/';
  if (is_named(&text, "hostname=")) return (process->hostname = text)[0] != '\0';
  if (is_named(&text, "domainname=")) return (process->domainname = text)[0] != '\0';
  if (is_named(&text, "vsock")) return process->on_vsock = 1;
  if (is_named(&text, "no-new-privileges")) return process->no_new_privileges = 1;
  if (is_named(&text, "read-only-root")) return process->read_only_root = 1;
  return strchr(text, '=') != NULL && parse_listed(record, process);
}

/* Reads /urunc/process: NAME=VALUE, each ended by a NUL (lib/guest/initrd/process.ts). Keeps pointers into
 * the text. Returns whether it could. */
int parse_process(char *text, size_t size, struct process *process) {
  process->cwd = "/";
  process->umask = 022;
  for (size_t at = 0; at < size;) {
    size_t length = strnlen(text + at, size - at);
    if (length == size - at || !parse_record(text + at, process)) return 0;
    at += length + 1;
  }
  return 1;
}

/* A directory and those above it. Returns an errno. */
int make_directories(const char *directory) {
  char path[PATH_MAX];
  size_t length = strlen(directory);
  if (length >= sizeof path) return ENAMETOOLONG;
  for (size_t i = 1; i <= length; i++) {
    if (directory[i] != '/' && directory[i] != '\0') continue;
    memcpy(path, directory, i);
    path[i] = '\0';
    if (mkdir(path, 0755) == 0 || errno == EEXIST) continue;
    /* One that exists on a file system which is read-only, too. */
    int error = errno;
    if (access(path, F_OK) < 0) return error;
  }
  return 0;
}

/* The directory is made where it is missing, as other runtimes do. */
static int enter(const char *directory) {
  if (chdir(directory) == 0) return 0;
  int error = errno == ENOENT ? make_directories(directory) : errno;
  if (error != 0) return error;
  return chdir(directory) == 0 ? 0 : errno;
}

/* Returns an errno. */
static int set_limits(const struct process *process) {
  for (size_t i = 0; i < process->limit_count; i++) {
    if (setrlimit((int)process->limits[i].type, &process->limits[i].value) < 0) return errno;
  }
  return 0;
}

static int has(uint64_t set, int capability) {
  return set >> capability & 1;
}

static int set_capabilities(const struct process *process) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  for (int half = 0; half < 2; half++) {
    data[half].effective = (uint32_t)(process->effective >> 32 * half);
    data[half].permitted = (uint32_t)(process->permitted >> 32 * half);
    data[half].inheritable = (uint32_t)(process->inheritable >> 32 * half);
  }
  if (syscall(SYS_capset, &header, data) < 0) return errno;
  for (int capability = 0; capability < CAPABILITIES; capability++) {
    if (!has(process->ambient, capability)) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) < 0) return errno;
  }
  return 0;
}

/* The order: docs of credentials in lib/plan/credentials.ts, for the same reasons. */
static int take_identity(const struct process *process) {
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++) {
    if (has(process->bounding, capability)) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) return errno;
  }
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return errno;
  if (setgroups(process->group_count, process->groups) < 0) return errno;
  if (setgid(process->gid) < 0 || setuid(process->uid) < 0) return errno;
  return set_capabilities(process);
}

/* Executes the program as config.json's process says. Returns what is impossible. A working directory that
 * is missing is an error, or made. */
struct failure try_to_become(const struct process *process, int makes_directory) {
  int error = set_limits(process);
  if (error != 0) return (struct failure){STAGE_LIMIT, error};
  umask(process->umask);
  error = makes_directory ? enter(process->cwd) : chdir(process->cwd) < 0 ? errno : 0;
  if (error != 0) return (struct failure){STAGE_DIRECTORY, error};
  /* It takes a privilege, or that none can be gained: with the latter as late as possible, as runc does it. */
  error = process->no_new_privileges ? 0 : install_filter();
  if (error != 0) return (struct failure){STAGE_PRIVILEGES, error};
  error = take_identity(process);
  if (error != 0) return (struct failure){STAGE_USER, error};
  if (process->no_new_privileges) {
    error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? errno : install_filter();
    if (error != 0) return (struct failure){STAGE_PRIVILEGES, error};
  }
  return (struct failure){STAGE_PROGRAM, run_program(process->args, process->env)};
}

/* As `try_to_become`; reports on standard error what is impossible. */
void become(const struct process *process) {
  static const char *const DOING[STAGES][2] = {
      [STAGE_LIMIT] = {"set", "a resource limit"},
      [STAGE_DIRECTORY] = {"enter", NULL},
      [STAGE_USER] = {"become", "the container's user"},
      [STAGE_PRIVILEGES] = {"set", "no_new_privs, or the filter of system calls"},
      [STAGE_PROGRAM] = {"run", NULL},
  };
  struct failure failure = try_to_become(process, 1);
  const char *what = failure.stage == STAGE_DIRECTORY ? process->cwd : process->args[0];
  if (DOING[failure.stage][1]) what = DOING[failure.stage][1];
  complain(DOING[failure.stage][0], what, failure.error);
  _exit(failure.stage == STAGE_PROGRAM ? code_for(failure.error) : NOT_RUN);
}
