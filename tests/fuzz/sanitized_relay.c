/*
 * The relay of a further process (lib/build/waiter/relay.h) with an agent that sends any bytes, as a hosted
 * program for sanitizers: see targets/relay.ts. Standard input has records: the size of what follows in 4 bytes;
 * how it begins, a byte (0: before an agent's answer, whose nonce is 16 times 7; 1: its program runs); whether
 * its output is read late, a byte; and portions, each after its length in a byte. The agent then hangs up. The
 * answer is a line: the relay's exit code, and how many bytes of output came.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static _Noreturn void leave(int code);

#define _exit leave
#define main waiter_main
#include "../../lib/build/waiter/waiter.c"
#undef main
#undef _exit

static jmp_buf exits;
static FILE *records, *answers;
/* The agent's end, and where the caller reads. */
static int agent = -1, caller[STREAMS] = {-1, -1, -1};
static size_t received;

static _Noreturn void leave(int code) {
  longjmp(exits, code + 1);
}

static void read_output(void) {
  static char bytes[65536];
  for (int stream = STREAM_OUTPUT; stream < STREAMS; stream++)
    for (ssize_t count; (count = read(caller[stream], bytes, sizeof bytes)) > 0;) received += (size_t)count;
}

/* What the relay holds never exceeds what it has room for. */
static void check(void) {
  if (relay.room > EXEC_WINDOW || relay.incoming.have > sizeof relay.incoming.bytes) abort();
  for (int stream = 0; stream < STREAMS; stream++)
    if (relay.output[stream].count > EXEC_WINDOW || relay.output[stream].at >= EXEC_WINDOW) abort();
}

static void open_relay(int runs) {
  int pair[2], null = open("/dev/null", O_RDWR);
  memset(&relay, 0, sizeof relay);
  if (null < 0 || dup2(null, 0) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0) exit(2);
  agent = pair[0], relay.socket = pair[1];
  relay.start = null;
  relay.request = -1;
  for (int stream = STREAM_OUTPUT; stream < STREAMS; stream++) {
    if (pipe2(pair, O_NONBLOCK) < 0 || dup2(pair[1], stream) < 0) exit(2);
    close(pair[1]);
    caller[stream] = pair[0];
  }
  memset(relay.nonce, 7, NONCE_SIZE);
  for (int stream = 0; stream < STREAMS; stream++) relay.is_open[stream] = 1, relay.most[stream] = CHUNK;
  relay.deadline = now() + FIRST_BYTE;
  if (!runs) return say_hello();
  relay.passed = 1;
  take_started();
}

static void close_relay(void) {
  close(agent);
  close(relay.socket);
  if (relay.start >= 0) close(relay.start);
  for (int stream = STREAM_OUTPUT; stream < STREAMS; stream++) close(caller[stream]);
}

static int is_over(void) {
  return relay.state == RELAY_EXITED && !has_output_left();
}

/* Until it has taken everything that it was sent. */
static void exchange(void) {
  for (int left = 1; left > 0 && !is_over(); check()) {
    relay_exchange();
    if (ioctl(relay.socket, FIONREAD, &left) < 0) exit(2);
  }
}

static void send_portions(const unsigned char *data, size_t size, int reads_late) {
  for (size_t at = 0; at < size && relay.state != RELAY_EXITED;) {
    size_t length = data[at++];
    if (length > size - at) length = size - at;
    if (length > 0 && write(agent, data + at, length) != (ssize_t)length) exit(2);
    if (length > 0) exchange();
    if (!reads_late) read_output();
    at += length;
  }
}

/* As become_relay(). Nobody sends signals; the caller reads what is left. */
static int run_relay(const unsigned char *data, size_t size) {
  int code = setjmp(exits);
  if (code > 0) return code - 1;
  open_relay(data[0] & 1);
  send_portions(data + 2, size - 2, data[1] & 1);
  while (has_output_left()) read_output(), write_output(STREAM_OUTPUT), write_output(STREAM_ERRORS);
  if (shutdown(agent, SHUT_RDWR) < 0) exit(2);
  while (!is_over()) relay_exchange();
  leave(relay.code);
}

int main(void) {
  unsigned size;
  int unused[2];
  records = fdopen(dup(0), "r"), answers = fdopen(dup(1), "w");
  if (pipe2(unused, O_NONBLOCK) < 0 || records == NULL || answers == NULL) return 2;
  signals = unused[0];
  signal(SIGPIPE, SIG_IGN);
  while (fread(&size, sizeof size, 1, records) == 1 && size >= 2) {
    unsigned char *data = malloc(size);
    if (fread(data, 1, size, records) != size) return 2;
    received = 0;
    int code = run_relay(data, size);
    read_output();
    close_relay();
    free(data);
    fprintf(answers, "%d %zu\n", code, received);
  }
  return fclose(answers) == 0 ? 0 : 2;
}
