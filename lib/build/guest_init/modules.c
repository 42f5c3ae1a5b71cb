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
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

/* linux/module.h: the kernel unpacks it, where it can (since 5.17, CONFIG_MODULE_DECOMPRESS). */
#define COMPRESSED_FILE 4

/* Modules of a kernel that is the node's (lib/kernels). */
#define NODE_MODULES "/urunc/modules"

/* The bus, and what is on it. */
static const char *const DRIVERS[] = {"virtio_pci", "virtio_console", "virtio_blk",
                                      "virtio_net", "virtio_rng"};

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

void load_drivers(void) {
  struct utsname name;
  char path[PATH_MAX];
  size_t size;
  uname(&name);
  snprintf(directory, sizeof directory, "/lib/modules/%s", name.release);
  snprintf(path, sizeof path, "/lib/modules/%s/modules.dep", name.release);
  dependencies = contents_of(path, &size);
  for (size_t i = 0; i < sizeof DRIVERS / sizeof *DRIVERS; i++) load_module(DRIVERS[i]);
}

/* All of them: each comes after what it needs. The memory that the files take is the guest's. */
void load_node_drivers(void) {
  char path[PATH_MAX];
  size_t size;
  char *dependencies = contents_of(NODE_MODULES "/modules.dep", &size), *rest = dependencies;
  if (dependencies == NULL) return;
  for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
    line[strcspn(line, ":")] = '\0';
    load_file(NODE_MODULES, line);
    snprintf(path, sizeof path, NODE_MODULES "/%s", line);
    unlink(path);
  }
  free(dependencies);
}
