/*
 * What waiter and agent read of each other and of the RAM disk, as a hosted program for sanitizers: see
 * sanitizers_test.ts. Standard input has records: a letter, the size of the data in 4 bytes, the data.
 *
 * f: frames from the waiter; c: from the agent, in portions whose sizes the data has; p: /urunc/process; d: a
 * disk; n: frames of the name server's port; x: what comes to a port for further processes, in portions
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/build/waiter/channel.h"

#define main init_main
#include "../../lib/build/guest_init/init.c"
#undef main
#define fail run_fail
#define run run_one
#include "../../lib/build/guest_init/run.c"
#undef fail
#include "../../lib/build/guest_init/root.c"
#include <sys/mman.h>

void set_up_network(int alone) {
  (void)alone;
}
void load_node_drivers(void) {
}
void remove_node_drivers(void) {
}
int load_asked(const char *from, const char *name) {
  return from == name;
}
void mount_share(const struct process *process) {
  (void)process;
}
int install_filter(void) {
  return 0;
}
void load_module(const char *name) {
  (void)name;
}
void pass_time(int milliseconds) {
  (void)milliseconds;
}
void agent(struct process *process) {
  (void)process;
  exit(3);
}

/* The number of whole frames, and how it ended. */
static void read_frames(const unsigned char *data, size_t size) {
  struct frame frame = {0};
  int frames = 0, whole = 0;
  for (size_t at = 0; at < size && whole >= 0;) {
    at += frame_take(&frame, data + at, size - at);
    whole = frame_is_whole(&frame);
    if (whole > 0) frames++, frame.have = 0;
  }
  printf("%d %s\n", frames, whole < 0 ? "broken" : frame.have ? "more" : "whole");
}

/* What the name server's port has: as both sides read it, no more than a frame lacks. */
static void read_dns_frames(const unsigned char *data, size_t size) {
  static struct dns_frame frame;
  int frames = 0;
  long missing = FRAME_HEADER;
  frame.have = 0;
  for (size_t at = 0; at < size && missing > 0;) {
    size_t count = (size_t)missing < size - at ? (size_t)missing : size - at;
    memcpy(frame.bytes + frame.have, data + at, count);
    frame.have += count;
    at += count;
    missing = dns_missing(&frame);
    if (missing == 0) frames++, frame.have = 0, missing = FRAME_HEADER;
  }
  printf("%d %s\n", frames, missing < 0 ? "broken" : frame.have ? "more" : "whole");
}

/* The first byte of each portion is its length. */
static void read_portions(const unsigned char *data, size_t size) {
  memset(&channel, 0, sizeof channel);
  if (console.file == NULL && open_console(-1) != 0) exit(2);
  console.written = console.matched = 0;
  channel.control = -1;
  channel.state = CHANNEL_BOOTING;
  for (size_t at = 0; at < size;) {
    size_t length = data[at++];
    if (length > size - at) length = size - at;
    unsigned char *portion = malloc(length ? length : 1);
    memcpy(portion, data + at, length);
    take_frames(portion, length);
    take_console((const char *)portion, length);
    free(portion);
    at += length;
  }
  static char lines[CONSOLE_SHOWN];
  size_t shown = last_lines(lines);
  printf("%d %d %d %d %d\n", channel.state, channel.broken, channel.has_exited, channel.code,
         shown <= sizeof lines);
}

/* As the agent reads a port, with a buffer that has what the frames carry. The type of the last frame. */
static void read_exec(const unsigned char *data, size_t size) {
  static struct exec_frame frame;
  static struct ring ring;
  unsigned last = 0;
  memset(&frame, 0, sizeof frame);
  memset(&ring, 0, sizeof ring);
  for (size_t at = 0, length = 1; at < size; at += length, length = length * 7 % 4099 + 1) {
    if (length > size - at) length = size - at;
    unsigned char *portion = malloc(length);
    memcpy(portion, data + at, length);
    for (size_t taken = 0; taken < length;) {
      taken += exec_take(&frame, portion + taken, length - taken);
      while (exec_is_whole(&frame) < 0) exec_skip(&frame);
      if (exec_is_whole(&frame) == 0) continue;
      last = exec_type(&frame);
      if (!ring_put(&ring, exec_payload(&frame), exec_size(&frame))) ring_drop(&ring, ring_piece(&ring, 99999));
      frame.have = 0;
    }
    free(portion);
  }
  printf("%u\n", last);
}

static void read_process(char *data, size_t size) {
  struct process process = {0};
  int is_read = parse_process(data, size, &process);
  printf("%d %u %zu %zu %llx\n", is_read, process.uid, process.group_count, process.limit_count,
         (unsigned long long)process.ambient);
}

static void read_disk(const char *data, size_t size) {
  int disk = memfd_create("disk", MFD_CLOEXEC);
  if (disk < 0 || write(disk, data, size) != (ssize_t)size) exit(2);
  puts(kind_of(disk)->type);
  close(disk);
}

int main(void) {
  char kind;
  unsigned size;
  while (fread(&kind, 1, 1, stdin) == 1 && fread(&size, sizeof size, 1, stdin) == 1) {
    char *data = malloc(size ? size : 1);
    if (fread(data, 1, size, stdin) != size) return 2;
    if (kind == 'f') read_frames((unsigned char *)data, size);
    if (kind == 'n') read_dns_frames((unsigned char *)data, size);
    if (kind == 'c') read_portions((unsigned char *)data, size);
    if (kind == 'x') read_exec((unsigned char *)data, size);
    if (kind == 'p') read_process(data, size);
    if (kind == 'd') read_disk(data, size);
    free(data);
  }
  return 0;
}
