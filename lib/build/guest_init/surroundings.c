/* What a program needs around it before it starts: file systems, names, the channel's ports. */
#define _GNU_SOURCE
#include "surroundings.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

/* A kernel with the driver has the ports before it starts its first program, or some milliseconds later. */
#define PORTS_SECONDS 10
#define STEP_MILLISECONDS 10
#define PORT_DIRECTORY "/sys/class/virtio-ports"

static void bring_up_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

/* Files that the engine has prepared for the container: they are there whatever the image has. */
static const char *const ETC_FILES[] = {"resolv.conf", "hosts", "hostname"};

static void put_file(const char *path, const char *content, size_t size) {
  unlink(path);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0 || write(fd, content, size) != (ssize_t)size) complain("write", path, errno);
  if (fd >= 0) close(fd);
}

/* A link of a distribution's leads into /run, where there is nothing yet. */
static void make_target(const char *path) {
  char target[PATH_MAX] = "/etc/", link[PATH_MAX / 2];
  ssize_t length = readlink(path, link, sizeof link - 1);
  if (length > 0) {
    link[length] = '\0';
    if (link[0] == '/') target[0] = '\0';
    strcat(target, link);
    *strrchr(target, '/') = '\0';
    make_directories(target);
  }
  int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0644);
  if (fd >= 0) close(fd);
}

/* On a disk it stays as it is, and is covered. */
static void cover_file(const char *name, const char *path) {
  char source[64];
  fchmodat(own_files, name, 0644, 0);
  int file = openat(own_files, name, O_PATH | O_CLOEXEC);
  if (file < 0) return;
  make_target(path);
  snprintf(source, sizeof source, "/proc/self/fd/%d", file);
  if (mount(source, path, NULL, MS_BIND, NULL) < 0) complain("cover", path, errno);
  close(file);
}

static void put_files(int on_disk) {
  char path[PATH_MAX];
  mkdir("/etc", 0755);
  for (size_t i = 0; i < sizeof ETC_FILES / sizeof *ETC_FILES; i++) {
    size_t size;
    snprintf(path, sizeof path, "/etc/%s", ETC_FILES[i]);
    if (on_disk) cover_file(path + 1, path);
    char *content = on_disk ? NULL : contents_of(path + 1, &size);
    if (content == NULL) continue;
    put_file(path, content, size);
    free(content);
  }
}

/* One that this kernel does not have, or in another range, does not keep the program from running. */
static void set_sysctl(char *text) {
  char path[PATH_MAX];
  char *value = strchr(text, '=');
  *value++ = '\0';
  snprintf(path, sizeof path, "/proc/sys/%s", text);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, strlen(value)) < 0) complain("set", path, errno);
  if (fd >= 0) close(fd);
}

void set_up_guest(const struct process *process) {
  mount_file_systems(process);
  if (process->hostname) sethostname(process->hostname, strlen(process->hostname));
  if (process->domainname) setdomainname(process->domainname, strlen(process->domainname));
  bring_up_loopback();
  for (size_t i = 0; i < process->sysctl_count; i++) set_sysctl(process->sysctls[i]);
  answer_kernel();
  put_files(process->root != NULL || process->root_is_shared);
}

/* The sixth field of the user's line, passwd(5). */
static const char *home_of(uid_t uid) {
  static char line[1024];
  FILE *file = fopen("/etc/passwd", "re");
  const char *found = "/";
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    char *rest = line, *fields[7] = {0};
    for (int i = 0; i < 7; i++) fields[i] = strsep(&rest, ":\n");
    if (fields[2] == NULL || strtoul(fields[2], NULL, 10) != uid || fields[2][0] == '\0') continue;
    if (fields[5] != NULL && fields[5][0] == '/') found = fields[5];
    break;
  }
  if (file != NULL) fclose(file);
  return found;
}

void add_home(struct process *process) {
  static char entry[1024 + sizeof "HOME="] = "HOME=";
  size_t count = 0;
  for (; process->env[count] != NULL && strcmp(process->env[count], "HOME=") != 0; count++) {
    if (strncmp(process->env[count], "HOME=", 5) == 0) return;
  }
  strcpy(entry + 5, home_of(process->uid));
  if (process->env[count] != NULL) {
    process->env[count] = entry;
    return;
  }
  char **env = malloc((count + 2) * sizeof *env);
  if (env == NULL) return;
  memcpy(env, process->env, count * sizeof *env);
  env[count] = entry;
  env[count + 1] = NULL;
  process->env = env;
}

void pass_time(int milliseconds) {
  struct timespec time = {.tv_nsec = milliseconds * 1000000L};
  nanosleep(&time, NULL);
}

/* Holds a directory from its first use, which is before the program's start: the program may mount over it. */
static int hold(const char *path, int *fd) {
  if (*fd < 0) *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return *fd;
}

static int port_directory = -1, device_directory = -1;

/* Without the newline. Returns whether there is one. */
static int read_name(const char *device, char *text, size_t size) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s/name", device);
  int fd = openat(port_directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t count = read(fd, text, size - 1);
  close(fd);
  if (count <= 1) return 0;
  text[count - 1] = '\0';
  return 1;
}

void each_port(void (*found)(const char *name, const char *device)) {
  int fd = openat(hold(PORT_DIRECTORY, &port_directory), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *directory = fd < 0 ? NULL : fdopendir(fd);
  char name[64];
  if (directory == NULL && fd >= 0) close(fd);
  if (directory == NULL) return;
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.' && read_name(entry->d_name, name, sizeof name)) found(name, entry->d_name);
  }
  closedir(directory);
}

int open_device(const char *device) {
  return openat(hold("/dev", &device_directory), device, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int open_terminal(void) {
  int terminal = open_device("pts/ptmx");
  return terminal < 0 ? open_device("ptmx") : terminal;
}

static int *opening;

static void take_port(const char *name, const char *device) {
  for (int i = 0; i < PORTS; i++) {
    if (opening[i] < 0 && strcmp(name, PORT_NAMES[i]) == 0) opening[i] = open_device(device);
  }
}

/* A port whose other end is not open yet reads as if it were at its end. */
static int is_connected(int fd) {
  struct pollfd port = {fd, 0, 0};
  return fd >= 0 && poll(&port, 1, 0) >= 0 && (port.revents & POLLHUP) == 0;
}

int on_vsock;

/* The monitor answers at once: it connects to a socket that listens, or there is none. */
int open_vsock(unsigned port) {
  struct sockaddr_vm host = {
      .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_HOST, .svm_port = VSOCK_FIRST + port};
  int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (connect(fd, (struct sockaddr *)&host, sizeof host) == 0) {
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
  }
  close(fd);
  return -1;
}

/* In their order: the waiter takes all of them when the last one is there. Returns how many there are. */
static int connect_ports(int ports[PORTS]) {
  int count = 0;
  for (; count < PORTS; count++) {
    if (ports[count] < 0) ports[count] = open_vsock((unsigned)count);
    if (ports[count] < 0) break;
  }
  return count;
}

static int find_ports(int ports[PORTS]) {
  int connected = 0;
  opening = ports;
  each_port(take_port);
  for (int i = 0; i < PORTS; i++) connected += is_connected(ports[i]);
  return connected;
}

int open_ports(int ports[PORTS]) {
  for (int i = 0; i < PORTS; i++) ports[i] = -1;
  for (int left = PORTS_SECONDS * 1000; left > 0; left -= STEP_MILLISECONDS) {
    int connected = on_vsock ? connect_ports(ports) : find_ports(ports);
    if (connected == PORTS) return 1;
    pass_time(STEP_MILLISECONDS);
  }
  for (int i = 0; i < PORTS; i++) {
    if (ports[i] >= 0) close(ports[i]);
  }
  return 0;
}

/* Level 0 is on every console, whatever the kernel's parameters say (printk, proc_sys_kernel(5)). */
void say_in_log(const char *line) {
  char text[128];
  int length = snprintf(text, sizeof text, "<0>%s", line);
  int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, (size_t)length) < 0) {
    if (write(2, line, strlen(line)) < 0) length = 0;
  }
  if (fd >= 0) close(fd);
}
