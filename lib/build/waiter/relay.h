/*
 * A third process: what stands on the host for one more process in a guest with an agent (docker exec). Callers
 * wait for it and signal it.
 *
 *   urunc-relay WORD...
 *
 *   socket=FD    a connection to one of the ports for that: lib/build/guest_init/README.md
 *   handed       not to a port, but to the waiter, which hands one to the guest over (handing.h)
 *   request=FD   a file with the description of the process
 *   start=FD     what became of it, one of the words below
 *   filter=FD    a file with a filter of system calls
 *   uid=ID gid=ID group=ID   whom it becomes; group may be there more than once
 *   terminal     the standard files are a terminal, which becomes its own
 *
 * The words: `started` when the guest has executed the program; or `failed STAGE ERRNO` (exec_protocol.h), `silent`, `ended`, `broken`, `signal`, `error WHAT ERRNO`.
 *
 * It becomes the user, with no capability, before it reads a byte of the guest. Other descriptors than these
 * stay open: a lock is one, which others get when it exits.
 *
 * Whatever the guest sends has a fixed place here. It has no time limit once the program is executed, as a
 * process has none.
 */
#ifndef URUNC_RELAY_H
#define URUNC_RELAY_H

#include <time.h>

#include "../guest_init/exec_protocol.h"

/* A guest that boots has so long until its agent answers. Milliseconds. */
#define FIRST_BYTE 60000
/* What an earlier connection has left is over after so long, and so many bytes. */
#define STALE_TIME 5000
#define STALE_MOST (64 << 20)
/* From the first answer to the program's execution: also on a machine with much to do. */
#define START_TIME 60000
/* NGROUPS_MAX, linux/limits.h: musl has another of its own. */
#define RELAY_GROUPS 65536
/* As a process that the end of its PID namespace kills. */
#define CONTAINER_ENDED (SIGNAL_BASE + SIGKILL)
#define BROKEN 255
/* linux/capability.h, linux/keyctl.h: musl has no headers of the kernel. */
#define CAPABILITY_VERSION_3 0x20080522
#define MOST_CAPABILITIES 64
#define JOIN_SESSION_KEYRING 1

#define SIGNAL_BIT(number) (1ULL << ((number) - 1))
/* Who sends them wants it to end. */
#define ENDING_SIGNALS (SIGNAL_BIT(SIGINT) | SIGNAL_BIT(SIGTERM))

enum relay_state { RELAY_STALE, RELAY_READY, RELAY_STARTING, RELAY_RUNNING, RELAY_EXITED };

static struct {
  int socket, request, start, filter, terminal, handed;
  int64_t uid, gid;
  int group_count;
  unsigned groups[RELAY_GROUPS];
  enum relay_state state;
  unsigned char nonce[NONCE_SIZE];
  /* The last bytes that came, until they are the nonce. */
  unsigned char last[NONCE_SIZE];
  size_t passed;
  struct exec_frame incoming;
  struct ring output[STREAMS];
  /* Standard files that are still used; and of input, how much the guest has room for. */
  int is_open[STREAMS];
  /* How much a file takes without waiting. */
  size_t most[STREAMS];
  size_t room;
  int input_ended, closed[STREAMS];
  uint32_t request_size, request_sent;
  /* Signals that the guest has not been sent yet, as bits: SIGNAL_BIT. */
  uint64_t pending;
  int code;
  int64_t deadline;
  size_t at, end;
  unsigned char outgoing[EXEC_PADDING + FRAME_HEADER + EXEC_MOST];
} relay;

static int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static char *append_number(char *text, unsigned value) {
  char digits[12], *digit = digits + sizeof digits;
  do *--digit = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  memcpy(text, digit, (size_t)(digits + sizeof digits - digit));
  return text + (digits + sizeof digits - digit);
}

/* A line on `start`, and no more of the program. */
static _Noreturn void give_word(const char *word, const char *what, int numbers, unsigned one, unsigned other, int code) {
  char text[128], *at = text;
  at = stpcpy(stpcpy(at, word), what);
  if (numbers > 0) *at++ = ' ', at = append_number(at, one);
  if (numbers > 1) *at++ = ' ', at = append_number(at, other);
  if (relay.start >= 0 && write(relay.start, text, (size_t)(at - text)) < 0) _exit(OWN_FAILURE);
  _exit(code);
}

static _Noreturn void relay_fails(const char *what, int error) {
  give_word("error ", what, 1, (unsigned)error, 0, OWN_FAILURE);
}

static void read_relay_signals(void);

/* There is nothing more to send or to get, but what the caller may read. */
static void relay_exits(int code) {
  relay.state = RELAY_EXITED;
  relay.code = code;
}

/*
 * Before the program is executed the runtime reports it, and then nobody else does. The guest may have filled the
 * caller's file: it has its time to read, unless a signal ends that.
 */
static _Noreturn void relay_breaks(void) {
  static const char text[] = "urunc: the guest's agent does not keep to the protocol\n";
  struct pollfd fds[] = {{2, POLLOUT, 0}, {signals, POLLIN, 0}};
  if (relay.state < RELAY_RUNNING) give_word("broken", "", 0, 0, 0, BROKEN);
  relay_exits(BROKEN);
  while (poll(fds, 2, DRAIN) > 0) {
    if (fds[1].revents) read_relay_signals();
    if (fds[0].revents && write(2, text, sizeof text - 1) != 0) break;
  }
  _exit(BROKEN);
}

/* ------------------------------------------------------------------------------------------- user */

static int id_word(const char *word, const char *name, int64_t *id) {
  rlim_t value;
  const char *text = word + strlen(name);
  if (strncmp(word, name, strlen(name)) != 0 || !bytes(&text, 0, &value) || value >= UINT32_MAX) return 0;
  *id = (int64_t)value;
  return 1;
}

static int group_word(const char *word) {
  int64_t value;
  if (relay.group_count == RELAY_GROUPS || !id_word(word, "group=", &value)) return 0;
  relay.groups[relay.group_count++] = (unsigned)value;
  return 1;
}

static void relay_parse(char **word) {
  /* Not where it is declared: it would take up all of its room in the file. */
  relay.socket = relay.request = relay.start = relay.filter = -1;
  relay.uid = relay.gid = -1;
  for (; *word; word++) {
    if (valued(*word, "socket=", 3, 1 << 20, &relay.socket)) continue;
    if (valued(*word, "request=", 3, 1 << 20, &relay.request)) continue;
    if (valued(*word, "start=", 3, 1 << 20, &relay.start)) continue;
    if (valued(*word, "filter=", 3, 1 << 20, &relay.filter)) continue;
    if (id_word(*word, "uid=", &relay.uid) || id_word(*word, "gid=", &relay.gid)) continue;
    if (group_word(*word) || flag(*word, "terminal", &relay.terminal)) continue;
    if (flag(*word, "handed", &relay.handed)) continue;
    relay_fails("word", EINVAL);
  }
  if (relay.socket < 0 || relay.request < 0 || relay.start < 0) relay_fails("words", EINVAL);
}

/* In the order of lib/plan/credentials.ts. By system calls: in the C library they are for threads, too. */
static void become_user(void) {
  struct { uint32_t version; int pid; } header = {CAPABILITY_VERSION_3, 0};
  uint32_t none[2][3] = {{0}};
  /* The caller's keys are not for it; the filter has no call for them, either. */
  syscall(SYS_keyctl, JOIN_SESSION_KEYRING, 0);
  for (int capability = 0; capability < MOST_CAPABILITIES; capability++) {
    if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) < 0) break;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0) relay_fails("PR_CAPBSET_DROP", errno);
  }
  if (syscall(SYS_setgroups, relay.group_count, relay.groups) < 0) relay_fails("setgroups", errno);
  if (syscall(SYS_setresgid, relay.gid, relay.gid, relay.gid) < 0) relay_fails("setresgid", errno);
  if (syscall(SYS_setresuid, relay.uid, relay.uid, relay.uid) < 0) relay_fails("setresuid", errno);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (syscall(SYS_capset, &header, none) < 0) relay_fails("capset", errno);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) relay_fails("PR_SET_NO_NEW_PRIVS", errno);
}

static void relay_prepare(void) {
  struct stat request;
  prctl(PR_SET_NAME, "urunc-relay");
  if (chdir("/") < 0) relay_fails("chdir", errno);
  /* It leads a session: the runtime starts it so. Signals of the terminal, such as a new size, are for it. */
  if (relay.terminal && ioctl(0, TIOCSCTTY, 0) < 0) relay_fails("TIOCSCTTY", errno);
  if (fstat(relay.request, &request) < 0) relay_fails("fstat", errno);
  relay.request_size = (uint32_t)request.st_size;
  if (relay.uid >= 0) become_user();
  prctl(PR_SET_DUMPABLE, 0);
  unsigned long all = ~0UL;
  mask_signals(all);
  signals = (int)syscall(SYS_signalfd4, -1, &all, KERNEL_SIGSET, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) relay_fails("signalfd", errno);
  int error = install_filter(relay.filter);
  if (error) relay_fails("seccomp", error);
  if (getrandom(relay.nonce, NONCE_SIZE, 0) != NONCE_SIZE) relay_fails("getrandom", errno);
  for (int stream = 0; stream < STREAMS; stream++) {
    struct stat file;
    int is_terminal = fstat(stream, &file) == 0 && S_ISCHR(file.st_mode);
    relay.is_open[stream] = 1;
    relay.most[stream] = is_terminal ? TERMINAL_CHUNK : CHUNK;
  }
}

/* ------------------------------------------------------------------------------------- to the guest */

static unsigned char *relay_begin(enum exec_type type, size_t size) {
  relay.at = 0;
  relay.end = exec_header(relay.outgoing, type, size);
  return relay.outgoing + FRAME_HEADER;
}

static void say_hello(void) {
  unsigned char *at = relay.outgoing + EXEC_PADDING;
  memset(relay.outgoing, 0, EXEC_PADDING);
  relay.at = 0;
  relay.end = EXEC_PADDING + exec_header(at, EXEC_HELLO, 2 + NONCE_SIZE);
  put_number(at + FRAME_HEADER, EXEC_VERSION, 2);
  memcpy(at + FRAME_HEADER + 2, relay.nonce, NONCE_SIZE);
}

static void say_start(void) {
  struct winsize size = {0};
  int together = !relay.terminal && same_file(1, 2);
  if (relay.terminal) ioctl(0, TIOCGWINSZ, &size);
  unsigned char *at = relay_begin(EXEC_START, 10);
  put_number(at, (uint64_t)(relay.terminal ? HELLO_TERMINAL : together ? HELLO_TOGETHER : 0), 2);
  put_number(at + 2, size.ws_row, 2);
  put_number(at + 4, size.ws_col, 2);
  put_number(at + 6, relay.request_size, 4);
  release(&relay.request);
}

static void say_request(void) {
  if (relay.request_sent == relay.request_size) return say_start();
  ssize_t count = pread(relay.request, relay.outgoing + FRAME_HEADER, EXEC_MOST, relay.request_sent);
  if (count <= 0) relay_fails("request", count < 0 ? errno : EINVAL);
  relay_begin(EXEC_REQUEST, (size_t)count);
  relay.request_sent += (uint32_t)count;
}

static void say_relay_size(void) {
  struct winsize size = {0};
  if (!relay.terminal || ioctl(0, TIOCGWINSZ, &size) < 0) return;
  put_number(relay_begin(EXEC_SIZE, 4), (uint64_t)size.ws_row | (uint64_t)size.ws_col << 16, 4);
}

/* What is said of streams. Returns whether there was something. */
static int say_news(void) {
  for (int stream = STREAM_OUTPUT; stream < STREAMS; stream++) {
    if (relay.closed[stream]) {
      relay.closed[stream] = 0;
      return put_number(relay_begin(EXEC_CLOSED, 2), (uint64_t)stream, 2), 1;
    }
    if (!ring_has_news(&relay.output[stream])) continue;
    return put_taken(relay_begin(EXEC_TAKEN, 6), (enum exec_stream)stream, &relay.output[stream]), 1;
  }
  return 0;
}

/* The lowest, as the kernel would give it. */
static void say_signal(void) {
  int number = __builtin_ctzll(relay.pending) + 1;
  relay.pending &= ~SIGNAL_BIT(number);
  if (number == SIGWINCH && relay.terminal) return say_relay_size();
  put_number(relay_begin(EXEC_SIGNAL, 4), (uint64_t)number, 4);
}

static void relay_compose(void) {
  if (relay.state == RELAY_STARTING && relay.request >= 0) say_request();
  if (relay.state != RELAY_RUNNING) return;
  while (relay.pending && relay.at == relay.end) say_signal();
  if (relay.at == relay.end) say_news();
}

/* As much as the socket takes. One that is closed says so when it is read. */
static void relay_send(void) {
  for (;;) {
    if (relay.at == relay.end) relay_compose();
    if (relay.at == relay.end) return;
    ssize_t count = send(relay.socket, relay.outgoing + relay.at, relay.end - relay.at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count < 0 && !is_waiting(errno)) relay.at = relay.end;
    if (count <= 0) return;
    relay.at += (size_t)count;
  }
}

static int may_say(void) {
  return relay.at == relay.end;
}

static void stop_input(void) {
  relay.is_open[STREAM_INPUT] = 0;
  if (!relay.terminal) close(0);
}

static void read_input(void) {
  size_t most = relay.room < EXEC_MOST ? relay.room : EXEC_MOST;
  ssize_t count = read(0, relay.outgoing + FRAME_HEADER, most);
  if (count < 0 && is_waiting(errno)) return;
  if (count > 0) {
    relay_begin(EXEC_INPUT, (size_t)count);
    relay.room -= (size_t)count;
    return;
  }
  stop_input();
  relay_begin(EXEC_INPUT_END, 0);
}

/* ----------------------------------------------------------------------------------- from the guest */

static void take_stream(enum exec_stream stream, const unsigned char *bytes, size_t size) {
  struct ring *ring = &relay.output[stream];
  /* More than it was told to have room for. */
  if (size > EXEC_WINDOW - ring->count - ring->taken || !ring_put(ring, bytes, size)) relay_breaks();
  /* Nobody reads it; what was on its way is let through. */
  if (!relay.is_open[stream]) ring_drop(ring, ring->count);
}

static void take_room(const unsigned char *bytes) {
  size_t count = (size_t)get_number(bytes + 2, 4);
  if (get_number(bytes, 2) != STREAM_INPUT || count > EXEC_WINDOW - relay.room) relay_breaks();
  relay.room += count;
}

static void take_exit(const unsigned char *bytes) {
  uint64_t code = get_number(bytes, 4), number = get_number(bytes + 4, 4);
  if (code > 255 || number > 64) relay_breaks();
  relay_exits(number ? SIGNAL_BASE + (int)number : (int)code);
}

static void take_failure(const unsigned char *bytes) {
  unsigned stage = (unsigned)get_number(bytes, 2), error = (unsigned)get_number(bytes + 2, 2);
  if (stage >= STAGES || error > 4095) relay_breaks();
  int is_missing = stage == STAGE_PROGRAM && (error == ENOENT || error == ENOTDIR);
  give_word("failed", "", 2, stage, error, is_missing ? 127 : 126);
}

static void take_running(unsigned type, const unsigned char *bytes, size_t size) {
  switch (type) {
    case EXEC_OUTPUT: return take_stream(STREAM_OUTPUT, bytes, size);
    case EXEC_ERRORS: return take_stream(STREAM_ERRORS, bytes, size);
    case EXEC_TAKEN: return take_room(bytes);
    case EXEC_EXITED: return take_exit(bytes);
    case EXEC_CLOSED:
      if (get_number(bytes, 2) != STREAM_INPUT) relay_breaks();
      if (relay.is_open[STREAM_INPUT]) stop_input();
      return;
  }
  relay_breaks();
}

static void take_started(void) {
  relay.state = RELAY_RUNNING;
  relay.room = EXEC_WINDOW;
  relay.deadline = 0;
  if (write(relay.start, "started", 7) < 0) _exit(OWN_FAILURE);
  release(&relay.start);
}

static void relay_handle(void) {
  unsigned type = exec_type(&relay.incoming);
  const unsigned char *bytes = exec_payload(&relay.incoming);
  uint64_t version = type == EXEC_READY ? get_number(bytes, 2) : 0;
  if (relay.state == RELAY_RUNNING) return take_running(type, bytes, exec_size(&relay.incoming));
  if (relay.state == RELAY_READY && version > 0 && version <= EXEC_VERSION) relay.state = RELAY_STARTING;
  else if (relay.state == RELAY_STARTING && relay.request < 0 && type == EXEC_STARTED) take_started();
  else if (relay.state == RELAY_STARTING && relay.request < 0 && type == EXEC_FAILED) take_failure(bytes);
  else relay_breaks();
}

/* What an earlier connection has left, up to the nonce. Returns how many bytes it took. */
static size_t skip_stale(const unsigned char *bytes, size_t count) {
  for (size_t at = 0; at < count; at++) {
    memmove(relay.last, relay.last + 1, NONCE_SIZE - 1);
    relay.last[NONCE_SIZE - 1] = bytes[at];
    if (++relay.passed > STALE_MOST) relay_breaks();
    if (relay.passed < NONCE_SIZE || memcmp(relay.last, relay.nonce, NONCE_SIZE) != 0) continue;
    relay.state = RELAY_READY;
    relay.deadline = now() + START_TIME;
    return at + 1;
  }
  return count;
}

/* Any bytes, in any portions. */
static void relay_take(const unsigned char *bytes, size_t count) {
  size_t at = relay.state == RELAY_STALE ? skip_stale(bytes, count) : 0;
  while (at < count) {
    at += exec_take(&relay.incoming, bytes + at, count - at);
    int whole = exec_is_whole(&relay.incoming);
    if (whole == 0) continue;
    /* After the exit there is nothing to say. */
    if (whole < 0 || relay.state == RELAY_EXITED) relay_breaks();
    relay_handle();
    relay.incoming.have = 0;
  }
}

/* Returns whether the guest is still there. */
static int relay_read(void) {
  static unsigned char bytes[16384];
  ssize_t count = recv(relay.socket, bytes, sizeof bytes, MSG_DONTWAIT);
  if (count < 0 && is_waiting(errno)) return 1;
  if (count <= 0) return 0;
  if (relay.passed == 0) relay.deadline = now() + STALE_TIME;
  relay_take(bytes, (size_t)count);
  return 1;
}

/* ------------------------------------------------------------------------------------ to the caller */

static void write_output(enum exec_stream stream) {
  struct ring *ring = &relay.output[stream];
  struct pollfd file = {stream, POLLOUT, 0};
  /* The other stream may have filled the same pipe. */
  if (ring->count == 0 || poll(&file, 1, 0) <= 0) return;
  size_t piece = ring_piece(ring, relay.most[stream]);
  ssize_t count = write(stream, ring->bytes + ring->at, piece);
  if (count < 0 && is_waiting(errno)) return;
  if (count >= 0) return ring_drop(ring, (size_t)count);
  /* Without a reader: the process gets SIGPIPE for it, as it would. */
  ring_drop(ring, ring->count);
  relay.is_open[stream] = 0;
  relay.closed[stream] = 1;
}

/*
 * Before the program is executed they end the waiting for that, and after its exit that for the reader. A guest that
 * does not take what `waits` ends when it is asked to again.
 */
static void heed(int number, uint64_t waits) {
  if (number == SIGCHLD || number == SIGPIPE) return;
  if (relay.state == RELAY_RUNNING) {
    if (waits & ENDING_SIGNALS && SIGNAL_BIT(number) & ENDING_SIGNALS) _exit(SIGNAL_BASE + number);
    relay.pending |= SIGNAL_BIT(number);
    return;
  }
  if (number == SIGCONT || number == SIGURG || number == SIGWINCH) return;
  if (relay.state == RELAY_EXITED) _exit(relay.code);
  give_word("signal", "", 0, 0, 0, SIGNAL_BASE + number);
}

/* Also while the guest takes nothing. The same one is sent once then. */
static void read_relay_signals(void) {
  struct signalfd_siginfo info;
  uint64_t waits = relay.pending;
  while (read(signals, &info, sizeof info) == sizeof info) heed((int)info.ssi_signo, waits);
}

static int has_output_left(void) {
  return relay.output[STREAM_OUTPUT].count > 0 || relay.output[STREAM_ERRORS].count > 0;
}

/* What has arrived is the caller's, who has time to read it, or ends that by a signal. */
static _Noreturn void end_without_guest(void) {
  if (relay.state < RELAY_RUNNING) give_word("ended", "", 0, 0, 0, CONTAINER_ENDED);
  if (relay.state == RELAY_RUNNING) relay_exits(CONTAINER_ENDED);
  while (has_output_left()) {
    struct pollfd fds[] = {{relay.output[STREAM_OUTPUT].count ? 1 : -1, POLLOUT, 0},
                           {relay.output[STREAM_ERRORS].count ? 2 : -1, POLLOUT, 0},
                           {signals, POLLIN, 0}};
    if (poll(fds, 3, DRAIN) <= 0) break;
    if (fds[2].revents) read_relay_signals();
    if (fds[0].revents) write_output(STREAM_OUTPUT);
    if (fds[1].revents) write_output(STREAM_ERRORS);
  }
  _exit(relay.code);
}

/* Milliseconds; -1: as long as it takes. */
static int relay_patience(void) {
  if (relay.deadline == 0) return -1;
  int64_t left = relay.deadline - now();
  if (left <= 0) give_word("silent", "", 0, 0, 0, OWN_FAILURE);
  return (int)left;
}

static struct pollfd relay_wants(int fd, int is_wanted, short events) {
  return (struct pollfd){is_wanted ? fd : -1, events, 0};
}

static void relay_exchange(void) {
  int reads = relay.state == RELAY_RUNNING && relay.is_open[STREAM_INPUT] && relay.room > 0 && may_say();
  struct pollfd fds[] = {
      {relay.socket, (short)(POLLIN | (may_say() ? 0 : POLLOUT)), 0},
      relay_wants(signals, 1, POLLIN),
      relay_wants(0, reads, POLLIN),
      relay_wants(1, relay.output[STREAM_OUTPUT].count > 0, POLLOUT),
      relay_wants(2, relay.output[STREAM_ERRORS].count > 0, POLLOUT),
  };
  if (poll(fds, sizeof fds / sizeof *fds, relay_patience()) < 0) return;
  if (fds[0].revents & (POLLIN | POLLHUP | POLLERR) && !relay_read()) end_without_guest();
  if (fds[3].revents) write_output(STREAM_OUTPUT);
  if (fds[4].revents) write_output(STREAM_ERRORS);
  if (fds[1].revents) read_relay_signals();
  if (fds[2].revents && may_say() && !relay.pending && relay.is_open[STREAM_INPUT]) read_input();
  relay_send();
}

/* Returns -1 when the waiter is gone. A byte that is not 0 is the errno for which there is none. */
static int receive_connection(void) {
  unsigned char byte;
  int connection;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof connection)];
  struct iovec vector = {&byte, 1};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
  ssize_t count = recvmsg(relay.socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (count > 0 && !header && byte) relay_fails("connection", byte);
  if (count <= 0 || !header || header->cmsg_len != CMSG_LEN(sizeof connection)) return -1;
  memcpy(&connection, CMSG_DATA(header), sizeof connection);
  return connection;
}

/* A guest that still boots makes its first connection when its agent runs. */
static void await_connection(void) {
  struct pollfd fds[] = {{relay.socket, POLLIN, 0}, {signals, POLLIN, 0}};
  for (;;) {
    if (poll(fds, 2, relay_patience()) < 0) continue;
    if (fds[1].revents) read_relay_signals();
    if (fds[0].revents) break;
  }
  int connection = receive_connection();
  if (connection < 0) end_without_guest();
  close(relay.socket);
  relay.socket = connection;
}

static _Noreturn void become_relay(char **word) {
  relay_parse(word);
  relay_prepare();
  relay.deadline = now() + FIRST_BYTE;
  if (relay.handed) await_connection();
  say_hello();
  relay_send();
  while (relay.state != RELAY_EXITED || has_output_left()) relay_exchange();
  _exit(relay.code);
}

#endif
