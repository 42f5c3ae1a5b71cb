/*
 * The waiter's side of the channel to a guest's agent: lib/build/guest_init/README.md. The guest may be
 * hostile: whatever it sends has a fixed place and a fixed size here, and is believed about itself only.
 */
#ifndef URUNC_CHANNEL_H
#define URUNC_CHANNEL_H

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../guest_init/protocol.h"

/*
 * What is kept of the console: a file that others read (lib/container/console.ts). First how many bytes there
 * were, eight bytes, least significant first; then the last of them, each at its number modulo the room.
 */
#define CONSOLE_FILE 65536
#define CONSOLE_HEADER 8
#define CONSOLE_ROOM (CONSOLE_FILE - CONSOLE_HEADER)

/* So much of it is in the error when a guest ends without a word. */
#define CONSOLE_SHOWN 4096

enum channel_state {
  CHANNEL_NONE,    /* a guest without an agent: its console is its standard files */
  CHANNEL_BOOTING, /* the agent has not said anything yet */
  CHANNEL_OPEN,
  CHANNEL_SERIAL, /* the guest's kernel has no ports: as without an agent */
};

static struct {
  enum channel_state state;
  int control;
  /* The guest has not connected yet: `control` listens. */
  int listens;
  unsigned char nonce[NONCE_SIZE];
  struct frame incoming;
  /* What the agent said at its end. */
  int has_exited, code, signal;
  uint64_t bytes[2];
  /* The agent knows that its output has arrived. */
  int drained;
  /* It does not keep to the protocol. */
  int broken;
} channel = {.control = -1};

static struct {
  uint64_t written;
  /* CONSOLE_FILE bytes. */
  unsigned char *file;
  size_t matched;
} console;

/* A full socket means an agent that does not read, for which a frame more or less is of no concern. */
static void send_frame(const unsigned char *bytes, size_t length) {
  if (channel.control >= 0) send(channel.control, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_number(enum frame_type type, uint64_t number) {
  unsigned char bytes[FRAME_HEADER + FRAME_MOST];
  size_t length = frame_begin(bytes, type);
  put_number(bytes + FRAME_HEADER, number, length - FRAME_HEADER);
  send_frame(bytes, length);
}

static void send_size(int rows, int columns) {
  send_number(FRAME_SIZE, (uint64_t)rows | (uint64_t)columns << 16);
}

/* The hello waits until the guest connects. */
static void await_channel(int listener) {
  channel.control = listener;
  channel.state = CHANNEL_BOOTING;
  channel.listens = 1;
}

/* Before a byte of the guest is read. Returns an errno. */
static int draw_nonce(void) {
  return getrandom(channel.nonce, NONCE_SIZE, 0) == NONCE_SIZE ? 0 : errno;
}

/* The hello waits in the socket until the agent opens its port. */
static void begin_channel(int control, int flags, int rows, int columns) {
  unsigned char bytes[FRAME_HEADER + FRAME_MOST], *at = bytes + FRAME_HEADER;
  size_t length = frame_begin(bytes, FRAME_HELLO);
  channel.control = control;
  channel.state = CHANNEL_BOOTING;
  put_number(at, PROTOCOL_VERSION, 2);
  put_number(at + 2, (uint64_t)flags, 2);
  put_number(at + 4, (uint64_t)rows, 2);
  put_number(at + 6, (uint64_t)columns, 2);
  memcpy(at + 8, channel.nonce, NONCE_SIZE);
  send_frame(bytes, length);
}

static int take_ready(const unsigned char *bytes) {
  uint64_t version = get_number(bytes, 2);
  if (channel.state != CHANNEL_BOOTING || version == 0 || version > PROTOCOL_VERSION) return 0;
  if (memcmp(bytes + 2, channel.nonce, NONCE_SIZE) != 0) return 0;
  channel.state = CHANNEL_OPEN;
  return 1;
}

/* Exit codes have eight bits, signals go to 64 (signal(7)). */
static int take_exited(const unsigned char *bytes) {
  if (channel.state != CHANNEL_OPEN || channel.has_exited) return 0;
  uint64_t code = get_number(bytes, 4), number = get_number(bytes + 4, 4);
  if (code > 255 || number > 64) return 0;
  channel.code = (int)code;
  channel.signal = (int)number;
  channel.bytes[0] = get_number(bytes + 8, 8);
  channel.bytes[1] = get_number(bytes + 16, 8);
  channel.has_exited = 1;
  return 1;
}

static int handle_frame(const struct frame *frame) {
  switch (frame_type(frame)) {
    case FRAME_READY: return take_ready(payload(frame));
    case FRAME_EXITED: return take_exited(payload(frame));
  }
  return 0;
}

/* Any bytes, in any portions. Sets `channel.broken` at the first that are not of a frame expected now. */
static void take_frames(const unsigned char *bytes, size_t count) {
  for (size_t at = 0; at < count && !channel.broken;) {
    at += frame_take(&channel.incoming, bytes + at, count - at);
    int whole = frame_is_whole(&channel.incoming);
    if (whole == 0) continue;
    channel.broken = whole < 0 || !handle_frame(&channel.incoming);
    channel.incoming.have = 0;
  }
}

static void read_channel(void) {
  unsigned char bytes[256];
  ssize_t count = recv(channel.control, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count <= 0) {
    close(channel.control);
    channel.control = -1;
    return;
  }
  take_frames(bytes, (size_t)count);
}

/* Only the kernel and the agent write to the console before the agent has said something. Returns how many
 * of the bytes belong to that time. */
static size_t find_serial_words(const char *bytes, size_t count) {
  static const char words[] = SERIAL_WORDS;
  for (size_t i = 0; channel.state == CHANNEL_BOOTING && i < count; i++) {
    /* Terminals end lines with a carriage return, too. */
    if (bytes[i] == '\r') continue;
    if (bytes[i] != words[console.matched]) console.matched = 0;
    if (bytes[i] == words[console.matched]) console.matched++;
    if (words[console.matched] != '\0') continue;
    channel.state = CHANNEL_SERIAL;
    console.matched = 0;
    return i + 1;
  }
  return count;
}

/* A file that has its size already, or memory of this process's own. Returns an errno. */
static int open_console(int fd) {
  int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
  void *file = mmap(NULL, CONSOLE_FILE, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (file == MAP_FAILED) return errno;
  console.file = file;
  return 0;
}

/* Keeps the console's last bytes. Returns how many it took: all, unless the rest are the program's. */
static size_t take_console(const char *bytes, size_t count) {
  size_t taken = find_serial_words(bytes, count);
  unsigned char *kept = console.file + CONSOLE_HEADER;
  for (size_t i = 0; i < taken; i++) {
    kept[console.written++ % CONSOLE_ROOM] = (unsigned char)bytes[i];
  }
  put_number(console.file, console.written, CONSOLE_HEADER);
  return taken;
}

/* The console's last lines, without what a terminal would obey. Returns their length. */
static size_t last_lines(char text[CONSOLE_SHOWN]) {
  uint64_t from = console.written > CONSOLE_SHOWN ? console.written - CONSOLE_SHOWN : 0;
  const unsigned char *kept = console.file + CONSOLE_HEADER;
  size_t length = 0;
  for (uint64_t at = from; at < console.written; at++) {
    char byte = (char)kept[at % CONSOLE_ROOM];
    if (byte == '\r') continue;
    text[length++] = byte == '\n' || (byte >= ' ' && byte < 127) ? byte : '?';
    /* What was cut is not a line. */
    if (byte == '\n' && from > 0) length = from = 0;
  }
  return length;
}

#endif
