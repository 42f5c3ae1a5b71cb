/*
 * The ports for further processes of a container, between a relay (lib/build/waiter/relay.h) and the agent in
 * the guest: README.md, "Further processes". Both sides read them with the functions below, and neither trusts
 * the other.
 */
#ifndef URUNC_EXEC_PROTOCOL_H
#define URUNC_EXEC_PROTOCOL_H

#include "protocol.h"

#define EXEC_VERSION 1
/* One process at a time on each, so many in all. Their names have a number, from 0. */
#define EXEC_PORTS 16
#define EXEC_PREFIX PORT_PREFIX "exec."

/* A frame's payload; and what describes a process: its arguments, its environment and the rest. */
#define EXEC_MOST 8192
#define EXEC_REQUEST_MOST (1 << 20)
/* Of each stream, what may be on its way: its receiver has room for it. */
#define EXEC_WINDOW (1 << 18)
/* Zeros before a hello: they fill up a frame of which an earlier connection sent a part. */
#define EXEC_PADDING (FRAME_HEADER + EXEC_MOST)

/* No type has a zero as its lower byte: zeros between frames are passed over. */
enum exec_type {
  /* From the relay. */
  EXEC_HELLO = 129,   /* version, two bytes; nonce */
  EXEC_REQUEST = 130, /* a part of the description */
  EXEC_START = 131,   /* flags, rows, columns, each two bytes; bytes of the description, four */
  EXEC_INPUT = 132,   /* bytes */
  EXEC_INPUT_END = 133,
  EXEC_SIGNAL = 134, /* number, four bytes */
  EXEC_SIZE = 135,   /* rows, columns, each two bytes */
  /* From either, about a stream that it receives. */
  EXEC_TAKEN = 136,  /* stream, two bytes; how many bytes of it have left, four: so much more may come */
  EXEC_CLOSED = 137, /* stream, two bytes: nothing of it is wanted any more */
  /* From the agent. */
  EXEC_READY = 193,   /* version, two bytes; after the nonce as it is */
  EXEC_STARTED = 194, /* the program is executed */
  EXEC_FAILED = 195,  /* stage, errno, each two bytes */
  EXEC_OUTPUT = 196,  /* bytes */
  EXEC_ERRORS = 197,  /* bytes */
  EXEC_EXITED = 198,  /* code, signal, each four bytes */
};

enum exec_stream { STREAM_INPUT, STREAM_OUTPUT, STREAM_ERRORS, STREAMS };

/* What was being done when a program could not be executed: EXEC_FAILED. */
enum exec_stage {
  STAGE_REQUEST,
  STAGE_FILES,
  STAGE_FORK,
  STAGE_LIMIT,
  STAGE_DIRECTORY,
  STAGE_USER,
  STAGE_PRIVILEGES,
  STAGE_PROGRAM,
  STAGES,
};

/* A frame that is being received. */
struct exec_frame {
  size_t have;
  unsigned char bytes[FRAME_HEADER + EXEC_MOST];
};

/* What has arrived of a stream, and has not left yet. */
struct ring {
  size_t at, count;
  /* What has left since the sender was informed. */
  uint32_t taken;
  char bytes[EXEC_WINDOW];
};

/* Least and most of a type's payload. Returns whether there is such a type. */
static inline int exec_sizes(unsigned type, size_t *least, size_t *most) {
  *least = 0;
  *most = EXEC_MOST;
  switch (type) {
    case EXEC_HELLO: *least = *most = 2 + NONCE_SIZE; return 1;
    case EXEC_START: *least = *most = 10; return 1;
    case EXEC_INPUT_END:
    case EXEC_STARTED: *most = 0; return 1;
    case EXEC_SIGNAL:
    case EXEC_SIZE:
    case EXEC_FAILED: *least = *most = 4; return 1;
    case EXEC_TAKEN: *least = *most = 6; return 1;
    case EXEC_CLOSED:
    case EXEC_READY: *least = *most = 2; return 1;
    case EXEC_EXITED: *least = *most = 8; return 1;
    case EXEC_REQUEST:
    case EXEC_INPUT:
    case EXEC_OUTPUT:
    case EXEC_ERRORS: return 1;
  }
  return 0;
}

static inline unsigned exec_type(const struct exec_frame *frame) {
  return (unsigned)get_number(frame->bytes, 2);
}

static inline size_t exec_size(const struct exec_frame *frame) {
  return (size_t)get_number(frame->bytes + 2, 2);
}

static inline const unsigned char *exec_payload(const struct exec_frame *frame) {
  return frame->bytes + FRAME_HEADER;
}

/* Whether a frame is there: 1; 0: not all of it; -1: it is none, by its type or its length. */
static inline int exec_is_whole(const struct exec_frame *frame) {
  size_t least, most;
  if (frame->have < FRAME_HEADER) return 0;
  if (!exec_sizes(exec_type(frame), &least, &most)) return -1;
  if (exec_size(frame) < least || exec_size(frame) > most) return -1;
  return frame->have == FRAME_HEADER + exec_size(frame);
}

/* Takes bytes up to the end of the frame, and no more; see frame_take(). Returns how many it took. */
static inline size_t exec_take(struct exec_frame *frame, const unsigned char *bytes, size_t count) {
  size_t taken = 0;
  while (taken < count && exec_is_whole(frame) == 0) {
    if (frame->have < FRAME_HEADER) {
      if (frame->have > 0 || bytes[taken] != 0) frame->bytes[frame->have++] = bytes[taken];
      taken++;
      continue;
    }
    size_t missing = FRAME_HEADER + exec_size(frame) - frame->have;
    size_t part = missing < count - taken ? missing : count - taken;
    memcpy(frame->bytes + frame->have, bytes + taken, part);
    frame->have += part;
    taken += part;
  }
  return taken;
}

/* Of a frame that is none, the first byte was perhaps not the first of a frame: looks from the next one. */
static inline void exec_skip(struct exec_frame *frame) {
  size_t from = 1;
  while (from < frame->have && frame->bytes[from] == 0) from++;
  memmove(frame->bytes, frame->bytes + from, frame->have - from);
  frame->have -= from;
}

/* Writes a header; `size` bytes are to follow. Returns the frame's length. */
static inline size_t exec_header(unsigned char *bytes, enum exec_type type, size_t size) {
  put_number(bytes, type, 2);
  put_number(bytes + 2, size, 2);
  return FRAME_HEADER + size;
}

/* Returns whether there was room. */
static inline int ring_put(struct ring *ring, const unsigned char *bytes, size_t count) {
  if (count > EXEC_WINDOW - ring->count) return 0;
  size_t end = (ring->at + ring->count) % EXEC_WINDOW;
  size_t first = count < EXEC_WINDOW - end ? count : EXEC_WINDOW - end;
  memcpy(ring->bytes + end, bytes, first);
  memcpy(ring->bytes, bytes + first, count - first);
  ring->count += count;
  return 1;
}

/* How many bytes lie at `ring->bytes + ring->at` in one piece, `most` at most. */
static inline size_t ring_piece(const struct ring *ring, size_t most) {
  size_t piece = EXEC_WINDOW - ring->at;
  if (piece > ring->count) piece = ring->count;
  return piece < most ? piece : most;
}

static inline void ring_drop(struct ring *ring, size_t count) {
  ring->at = (ring->at + count) % EXEC_WINDOW;
  ring->count -= count;
  ring->taken += (uint32_t)count;
}

/* Whether the sender is to be informed: never so late that it stands still meanwhile. */
static inline int ring_has_news(const struct ring *ring) {
  return ring->taken >= EXEC_WINDOW / 4;
}

/* The payload of EXEC_TAKEN. */
static inline void put_taken(unsigned char *payload, enum exec_stream stream, struct ring *ring) {
  put_number(payload, stream, 2);
  put_number(payload + 2, ring->taken, 4);
  ring->taken = 0;
}

#endif
