/*
 * The control channel between the waiter (lib/build/waiter) and the agent in the guest: README.md. Both
 * sides read it with the functions below, and neither trusts the other.
 */
#ifndef URUNC_PROTOCOL_H
#define URUNC_PROTOCOL_H

#include <stdint.h>
#include <string.h>

#define PROTOCOL_VERSION 1

/* Names of the ports; a guest finds them in /sys/class/virtio-ports. In the order of their descriptors. */
enum { PORT_STDIN, PORT_STDOUT, PORT_STDERR, PORT_CONTROL, PORTS };
#define PORT_PREFIX "urunc."
static const char *const PORT_NAMES[PORTS] __attribute__((unused)) = {
    PORT_PREFIX "stdin", PORT_PREFIX "stdout", PORT_PREFIX "stderr", PORT_PREFIX "control"};

/*
 * On vsock, a guest has connections in the place of ports: it makes them, to the host's port of this number
 * for the first of those above, and so on; then to one for the name server, and to one for further
 * processes, of which each has a connection of its own, which begins with the hello's nonce: others of the guest
 * do not know it. lib/plan/vsock.ts has them, too.
 */
#define VSOCK_FIRST 1024
enum { VSOCK_DNS = PORTS, VSOCK_EXEC };

/* Where the container's name server is on the loopback of its network namespace, which a guest is not in. */
#define DNS_PORT_NAME PORT_PREFIX "dns"
#define DNS_ADDRESS 0x7f00000b /* 127.0.0.11 */
#define DNS_PORT 53

/* What the agent writes to the kernel's log when there are no ports: the serial line is the program's. */
#define SERIAL_WORDS "urunc-agent: serial line\n"

/* A frame is its type, the length of its payload, each two bytes, and the payload. Numbers have their
 * least significant byte first. */
#define FRAME_HEADER 4
#define FRAME_MOST 64
#define NONCE_SIZE 16

enum frame_type {
  /* From the waiter. */
  FRAME_HELLO = 1,     /* version, flags, rows, columns, each two bytes; nonce */
  FRAME_INPUT_END = 2, /* how many bytes of input there were, eight bytes */
  FRAME_SIGNAL = 3,    /* number, four bytes */
  FRAME_SIZE = 4,      /* rows, columns, each two bytes */
  FRAME_DRAINED = 5,
  /* From the agent. */
  FRAME_READY = 65,  /* version, two bytes; nonce */
  FRAME_EXITED = 66, /* code, signal, each four bytes; bytes of output, of errors, each eight */
};

/* Frames of the port for the name server: a header as above, and up to so many bytes. Messages in datagrams
 * are not longer (RFC 6891, 6.2.5). */
#define DNS_MOST 4096

enum dns_type {
  DNS_DATAGRAM = 1, /* a message: a query from the agent, an answer from the waiter */
  DNS_STREAM = 2,   /* bytes of the one connection that there is at a time */
  DNS_END = 3,      /* its end; it is over when both sides have sent it */
};

struct dns_frame {
  size_t have;
  unsigned char bytes[FRAME_HEADER + DNS_MOST];
};

/* Flags of FRAME_HELLO. */
#define HELLO_TERMINAL 1
#define HELLO_TOGETHER 2

/* A frame that is being received. */
struct frame {
  size_t have;
  unsigned char bytes[FRAME_HEADER + FRAME_MOST];
};

static inline void put_number(unsigned char *to, uint64_t number, size_t size) {
  for (size_t i = 0; i < size; i++) to[i] = (unsigned char)(number >> 8 * i);
}

static inline uint64_t get_number(const unsigned char *from, size_t size) {
  uint64_t number = 0;
  for (size_t i = 0; i < size; i++) number |= (uint64_t)from[i] << 8 * i;
  return number;
}

/* The payload's length for a type; -1: there is no such type. */
static inline int payload_size(unsigned type) {
  switch (type) {
    case FRAME_HELLO: return 8 + NONCE_SIZE;
    case FRAME_INPUT_END: return 8;
    case FRAME_SIGNAL: return 4;
    case FRAME_SIZE: return 4;
    case FRAME_DRAINED: return 0;
    case FRAME_READY: return 2 + NONCE_SIZE;
    case FRAME_EXITED: return 24;
  }
  return -1;
}

static inline unsigned frame_type(const struct frame *frame) {
  return (unsigned)get_number(frame->bytes, 2);
}

static inline const unsigned char *payload(const struct frame *frame) {
  return frame->bytes + FRAME_HEADER;
}

/* Whether a frame is there: 1; 0: not all of it; -1: it is none, by its type or its length. */
static inline int frame_is_whole(const struct frame *frame) {
  if (frame->have < FRAME_HEADER) return 0;
  int size = payload_size(frame_type(frame));
  if (size < 0 || get_number(frame->bytes + 2, 2) != (uint64_t)size) return -1;
  return frame->have == FRAME_HEADER + (size_t)size;
}

/*
 * Takes bytes up to the end of the frame, and no more. A whole frame, or one that is none, takes nothing:
 * `have` is to be set to 0 first.
 *
 * Returns how many it took.
 */
static inline size_t frame_take(struct frame *frame, const unsigned char *bytes, size_t count) {
  size_t taken = 0;
  while (taken < count && frame_is_whole(frame) == 0) frame->bytes[frame->have++] = bytes[taken++];
  return taken;
}

static inline size_t dns_size(const struct dns_frame *frame) {
  return (size_t)get_number(frame->bytes + 2, 2);
}

/* How many bytes the frame still lacks: 0, it is whole; -1: it is none. */
static inline long dns_missing(const struct dns_frame *frame) {
  if (frame->have < FRAME_HEADER) return (long)(FRAME_HEADER - frame->have);
  uint64_t type = get_number(frame->bytes, 2);
  size_t size = dns_size(frame);
  if (type < DNS_DATAGRAM || type > DNS_END || size > DNS_MOST) return -1;
  if ((type == DNS_END) != (size == 0)) return -1;
  return (long)(FRAME_HEADER + size - frame->have);
}

/* Begins a frame whose payload is there already. Its whole length is `have`. */
static inline void dns_begin(struct dns_frame *frame, enum dns_type type, size_t size) {
  put_number(frame->bytes, type, 2);
  put_number(frame->bytes + 2, size, 2);
  frame->have = FRAME_HEADER + size;
}

/* Begins a frame; `payload_size(type)` bytes are to follow. Returns its whole length. */
static inline size_t frame_begin(unsigned char *bytes, enum frame_type type) {
  size_t size = (size_t)payload_size(type);
  put_number(bytes, type, 2);
  put_number(bytes + 2, size, 2);
  return FRAME_HEADER + size;
}

#endif
