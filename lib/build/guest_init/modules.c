/*
 * Loads drivers that the image has as modules: with an agent as process 1 no init of the image does it.
 * /lib/modules/RELEASE/modules.dep names each module and what it needs, of which the last is to be loaded
 * first (depmod(8), modules.dep(5)).
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
#include <sys/utsname.h>
#include <unistd.h>

/* linux/module.h: the kernel unpacks it, where it can (since 5.17, CONFIG_MODULE_DECOMPRESS). */
#define COMPRESSED_FILE 4

/* Modules of a kernel that is the node's (lib/kernels). */
#define NODE_MODULES "/urunc/modules"

/* `ALIAS MODULE`, a line each, of those that wait until the kernel asks for one; below `own_files`. */
#define ALIASES "modules/modules.alias"
/* Where the kernel finds them; the program's /proc is another than this process's. */
#define ANSWERING "/dev/.urunc"
#define MODPROBE ANSWERING "/modprobe"

/* The buses, and what is on them; packet sockets, by which networks are set up. Any other waits until it is
 * needed: the largest take seconds where the processor is emulated. */
static const char *const DRIVERS[] = {"virtio_pci", "virtio_mmio", "virtio_console", "virtio_blk",
                                      "virtio_net", "virtio_rng",  "af_packet"};

/* Of the modules, and the text of their modules.dep, which may not be there. */
static char directory[PATH_MAX];
static const char *dependencies;

static int is_compressed(const char *path) {
  return strcmp(path + strlen(path) - 3, ".ko") != 0;
}

/* One that is there already is not an error. */
static void load_file(const char *from, const char *file) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", from, file) >= (int)sizeof path) return;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  long result = fd < 0 ? -1 : syscall(SYS_finit_module, fd, "", is_compressed(path) ? COMPRESSED_FILE : 0);
  /* One for a processor, or a device, that is another. */
  if (result < 0 && errno != EEXIST && errno != ENODEV) complain("load", path, errno);
  if (fd >= 0) close(fd);
}

/* Whether a path, up to a colon, is that of a module. Names have a hyphen or an underscore. */
static int is_module(const char *path, const char *name) {
  size_t length = strcspn(path, ":\n");
  const char *file = memrchr(path, '/', length);
  for (file = file ? file + 1 : path; *name; name++, file++) {
    if ((*file == '-' ? '_' : *file) != *name) return 0;
  }
  return strncmp(file, ".ko", 3) == 0;
}

/* `FILE: NEEDED NEEDED`: from the last to the first. Takes the line to pieces. */
static void load_line(char *line) {
  for (;;) {
    char *word = strrchr(line, ' ');
    if (word == NULL) break;
    if (word[1] != '\0') load_file(directory, word + 1);
    *word = '\0';
  }
  line[strcspn(line, ":")] = '\0';
  load_file(directory, line);
}

static const char *line_of(const char *name) {
  const char *line = dependencies ? dependencies : "";
  for (; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    if (is_module(line, name)) return line;
  }
  return NULL;
}

void load_module(const char *name) {
  const char *line = line_of(name);
  char *copy = line ? strndup(line, strcspn(line, "\n")) : NULL;
  if (copy) load_line(copy);
  free(copy);
}

static void read_dependencies(const char *from) {
  char path[PATH_MAX];
  size_t size;
  snprintf(directory, sizeof directory, "%s", from);
  snprintf(path, sizeof path, "%s/modules.dep", from);
  dependencies = contents_of(path, &size);
}

static void load_from(const char *from) {
  read_dependencies(from);
  if (dependencies == NULL) return;
  for (size_t i = 0; i < sizeof DRIVERS / sizeof *DRIVERS; i++) load_module(DRIVERS[i]);
}

void load_drivers(void) {
  struct utsname name;
  char from[PATH_MAX];
  if (dependencies != NULL) return;
  uname(&name);
  snprintf(from, sizeof from, "/lib/modules/%s", name.release);
  load_from(from);
}

void load_node_drivers(void) {
  load_from(NODE_MODULES);
}

/* What the kernel executes has this process's root (kthreadd has its fs_struct): there the directory of the RAM
 * disk gets a place, where a program without CAP_SYS_ADMIN cannot change it. */
void answer_kernel(void) {
  char source[64];
  if (faccessat(own_files, ALIASES, F_OK, 0) < 0) return;
  snprintf(source, sizeof source, "/proc/self/fd/%d", own_files);
  mkdir(ANSWERING, 0700);
  if (mount(source, ANSWERING, NULL, MS_BIND, NULL) < 0 ||
      mount(NULL, ANSWERING, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) {
    return complain("mount", ANSWERING, errno);
  }
  int fd = open("/proc/sys/kernel/modprobe", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, MODPROBE, strlen(MODPROBE)) < 0) complain("set", "kernel.modprobe", errno);
  if (fd >= 0) close(fd);
}

int load_asked(const char *from, const char *name) {
  char path[PATH_MAX];
  size_t size;
  snprintf(path, sizeof path, "%s/" ALIASES, from);
  char *aliases = contents_of(path, &size);
  if (aliases == NULL) return 1;
  snprintf(path, sizeof path, "%s/modules", from);
  read_dependencies(path);
  int found = 0;
  for (char *line = strtok(aliases, "\n"); line; line = strtok(NULL, "\n")) {
    char *module = strchr(line, ' ');
    if (module == NULL) continue;
    *module++ = '\0';
    if (strcmp(line, name) != 0) continue;
    load_module(module);
    found = 1;
  }
  return !found;
}

void remove_node_drivers(void) {
  char path[PATH_MAX];
  /* The kernel may ask for one later, and what that needs. */
  if (faccessat(own_files, ALIASES, F_OK, 0) == 0) return;
  if (strcmp(directory, NODE_MODULES) != 0 || dependencies == NULL) return;
  for (const char *line = dependencies; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    snprintf(path, sizeof path, "modules/%.*s", (int)strcspn(line, ":\n"), line);
    unlinkat(own_files, path, 0);
  }
}
