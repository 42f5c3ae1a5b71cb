/*
 * A guest's first program that looks like the agent (lib/build/guest_init) and is hostile on its ports for
 * further processes. What it does to a process's relay is the process's first argument:
 *
 *   answer           writes "fine" and exits with 0
 *   flood            more output than there is room for, whatever the relay says
 *   long-frame       a frame of 65535 bytes
 *   take-4-GiB       says that it has taken so much input
 *   exit-4-GiB       exits with code 4294967295
 *   never-drain      is started, and never reads again while the connection lasts
 *   never-start      takes the description, and says nothing more
 *   next-silent      as answer; to the next hello it answers with one byte only
 *   next-stale       as answer; before its answer to the next hello are more bytes than a relay discards
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../lib/build/guest_init/exec_protocol.h"

#define DIRECTORY "/sys/class/virtio-ports"
/* What a relay and its caller's pipe have room for, and more. */
#define FLOOD (4 << 20)
/* STALE_MOST of lib/build/waiter/relay.h, and more. */
#define STALE (80 << 20)

static int port;
static char mode[32] = "answer", next[32];
static unsigned char nonce[NONCE_SIZE];

/* Returns 0 when the relay has hung up. */
static int is_connected(void) {
  struct pollfd it = {port, POLLIN, 0};
  return poll(&it, 1, 0) >= 0 && !(it.revents & POLLHUP);
}

/* All of it, or until the relay hangs up. */
static void send_all(const void *bytes, size_t size) {
  for (size_t done = 0; done < size;) {
    ssize_t count = write(port, (const char *)bytes + done, size - done);
    if (count > 0) done += (size_t)count;
    else if (!is_connected()) return;
    else usleep(2000);
  }
}

static void send_frame(enum exec_type type, const void *payload, size_t size) {
  unsigned char bytes[FRAME_HEADER + EXEC_MOST];
  size_t length = exec_header(bytes, type, size);
  memcpy(bytes + FRAME_HEADER, payload, size);
  send_all(bytes, length);
}

static void await_hangup(void) {
  while (is_connected()) usleep(10000);
}

static void answer_hello(void) {
  static const unsigned char zeros[EXEC_MOST], version[] = {EXEC_VERSION, 0};
  if (strcmp(next, "next-silent") == 0) {
    next[0] = '\0';
    return send_all(version, 1), await_hangup();
  }
  if (strcmp(next, "next-stale") == 0) {
    next[0] = '\0';
    for (size_t sent = 0; sent < STALE && is_connected(); sent += sizeof zeros) send_all(zeros, sizeof zeros);
    return;
  }
  send_all(nonce, sizeof nonce);
  send_frame(EXEC_READY, version, sizeof version);
}

static void finish(unsigned code) {
  unsigned char payload[8] = {0};
  put_number(payload, code, 4);
  send_frame(EXEC_EXITED, payload, sizeof payload);
}

static void start(void) {
  static const unsigned char zeros[EXEC_MOST];
  if (strcmp(mode, "never-start") == 0) return;
  send_frame(EXEC_STARTED, "", 0);
  if (strcmp(mode, "never-drain") == 0) return await_hangup();
  if (strcmp(mode, "flood") == 0) {
    for (size_t sent = 0; sent < FLOOD && is_connected(); sent += sizeof zeros)
      send_frame(EXEC_OUTPUT, zeros, sizeof zeros);
    return;
  }
  if (strcmp(mode, "long-frame") == 0) {
    static const unsigned char header[] = {EXEC_OUTPUT, 0, 255, 255};
    return send_all(header, sizeof header);
  }
  if (strcmp(mode, "take-4-GiB") == 0) {
    static const unsigned char payload[] = {STREAM_INPUT, 0, 255, 255, 255, 255};
    return send_frame(EXEC_TAKEN, payload, sizeof payload);
  }
  if (strcmp(mode, "exit-4-GiB") == 0) return finish(UINT32_MAX);
  if (strncmp(mode, "next-", 5) == 0) snprintf(next, sizeof next, "%s", mode);
  send_frame(EXEC_OUTPUT, "fine\n", 5);
  finish(0);
}

/* The description's records end with a NUL each. */
static void read_request(const unsigned char *bytes, size_t size) {
  for (size_t at = 0; at < size; at += strnlen((const char *)bytes + at, size - at) + 1) {
    if (size - at < 5 || memcmp(bytes + at, "arg=", 4) != 0) continue;
    snprintf(mode, sizeof mode, "%.*s", (int)(size - at - 4), (const char *)bytes + at + 4);
    return;
  }
}

static void handle(const struct exec_frame *frame) {
  switch (exec_type(frame)) {
    case EXEC_HELLO:
      memcpy(nonce, exec_payload(frame) + 2, NONCE_SIZE);
      return answer_hello();
    case EXEC_REQUEST: return read_request(exec_payload(frame), exec_size(frame));
    case EXEC_START: return start();
  }
}

static _Noreturn void serve_processes(void) {
  static struct exec_frame frame;
  static unsigned char bytes[16384];
  for (;;) {
    ssize_t count = read(port, bytes, sizeof bytes);
    if (count <= 0) {
      /* What a relay that is gone has not sent of a frame does not come any more. */
      if (!is_connected()) frame.have = 0;
      usleep(10000);
    }
    for (ssize_t at = 0; at < count;) {
      at += (ssize_t)exec_take(&frame, bytes + at, (size_t)(count - at));
      while (exec_is_whole(&frame) < 0) exec_skip(&frame);
      if (exec_is_whole(&frame) == 0) continue;
      handle(&frame);
      frame.have = 0;
    }
  }
}

/* As the agent says that the program runs; and then nothing more. */
static _Noreturn void serve_control(void) {
  unsigned char hello[FRAME_HEADER + 24], ready[FRAME_HEADER + 18] = {FRAME_READY, 0, 18, 0, PROTOCOL_VERSION};
  for (size_t have = 0; have < sizeof hello;) {
    ssize_t count = read(port, hello + have, sizeof hello - have);
    if (count > 0) have += (size_t)count;
    else usleep(10000);
  }
  memcpy(ready + FRAME_HEADER + 2, hello + FRAME_HEADER + 8, NONCE_SIZE);
  send_all(ready, sizeof ready);
  for (;;) pause();
}

/* Each port has a process of its own. Returns how many there are. */
static int serve_ports(void) {
  DIR *directory = opendir(DIRECTORY);
  int found = 0;
  for (struct dirent *entry; directory != NULL && (entry = readdir(directory)) != NULL;) {
    char path[600], name[64] = "";
    snprintf(path, sizeof path, DIRECTORY "/%s/name", entry->d_name);
    int fd = open(path, O_RDONLY);
    if (fd < 0) continue;
    if (read(fd, name, sizeof name - 1) < 0) name[0] = '\0';
    close(fd);
    name[strcspn(name, "\n")] = '\0';
    int is_control = strcmp(name, PORT_NAMES[PORT_CONTROL]) == 0;
    if (!is_control && strncmp(name, EXEC_PREFIX, strlen(EXEC_PREFIX)) != 0) continue;
    found++;
    if (fork() != 0) continue;
    snprintf(path, sizeof path, "/dev/%s", entry->d_name);
    port = open(path, O_RDWR | O_NONBLOCK);
    if (port < 0) _exit(1);
    if (is_control) serve_control();
    serve_processes();
  }
  if (directory != NULL) closedir(directory);
  return found;
}

int main(void) {
  mkdir("/dev", 0755), mkdir("/sys", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", 0, "");
  mount("sysfs", "/sys", "sysfs", 0, "");
  /* They are there some milliseconds after the first program is. */
  sleep(1);
  if (serve_ports() == 0) return 1;
  int console = open("/dev/console", O_WRONLY);
  dprintf(console, "ports are served\n");
  for (;;) pause();
}
