/*
 * The container's name server at 127.0.0.11, where the engine has one: a process in the guest that has this
 * address, and passes messages on to the waiter, who asks the server itself (README.md).
 *
 * Queries in datagrams get a number of our own, by which their answers find who asked; one that is not
 * answered is forgotten when its place is needed. There is one connection at a time; others wait.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

/* A power of two. */
#define QUERIES 256
/* RFC 1035, 4.1.1: its first two bytes are its number. */
#define DNS_HEADER 12
/* A connection on which nothing happens makes room for another. Milliseconds. */
#define IDLE 10000
#define WAITING 16

static struct {
  int port, datagrams, listener, client;
  /* This side, and the other, have said that the stream is over. */
  int is_over, other_is_over;
  struct dns_frame incoming, outgoing;
  /* Bytes of them that are where they belong. */
  size_t given, sent;
} dns;

static struct {
  /* The one in our message, and the asker's. */
  uint16_t number, own;
  struct sockaddr_in from;
} queries[QUERIES];
static unsigned next_query;

static int bind_server(int type) {
  struct sockaddr_in name = {.sin_family = AF_INET,
                             .sin_port = htons(DNS_PORT),
                             .sin_addr.s_addr = htonl(DNS_ADDRESS)};
  int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&name, sizeof name) == 0) return fd;
  complain("bind", "127.0.0.11:53", errno);
  close(fd);
  return -1;
}

static void close_client(void) {
  if (dns.client >= 0) close(dns.client);
  dns.client = -1;
}

static int is_sending(void) {
  return dns.sent < dns.outgoing.have;
}

static void begin(enum dns_type type, size_t size) {
  dns_begin(&dns.outgoing, type, size);
  dns.sent = 0;
}

/* Once for each stream; a new one may begin when the other side has done so, too. */
static void end_stream(void) {
  close_client();
  if (!dns.is_over) begin(DNS_END, 0);
  dns.is_over = 1;
}

static unsigned char *message_in(struct dns_frame *frame) {
  return frame->bytes + FRAME_HEADER;
}

static void read_query(void) {
  struct sockaddr_in from;
  socklen_t length = sizeof from;
  unsigned char *bytes = message_in(&dns.outgoing);
  ssize_t count = recvfrom(dns.datagrams, bytes, DNS_MOST, 0, (struct sockaddr *)&from, &length);
  if (count < DNS_HEADER || length != sizeof from) return;
  uint16_t number = 0;
  getrandom(&number, sizeof number, GRND_NONBLOCK);
  unsigned place = next_query++ % QUERIES;
  /* The place is in its lowest bits. */
  number = (uint16_t)((number & ~(QUERIES - 1)) | place);
  queries[place].number = number;
  memcpy(&queries[place].own, bytes, sizeof number);
  queries[place].from = from;
  memcpy(bytes, &number, sizeof number);
  begin(DNS_DATAGRAM, (size_t)count);
}

/* One that nobody waits for any more is dropped. */
static void give_answer(unsigned char *bytes, size_t size) {
  uint16_t number;
  if (size < DNS_HEADER) return;
  memcpy(&number, bytes, sizeof number);
  unsigned place = number % QUERIES;
  if (queries[place].number != number || queries[place].from.sin_port == 0) return;
  memcpy(bytes, &queries[place].own, sizeof number);
  sendto(dns.datagrams, bytes, size, MSG_NOSIGNAL, (struct sockaddr *)&queries[place].from,
         sizeof queries[place].from);
  queries[place].from.sin_port = 0;
}

static void accept_client(void) {
  dns.client = accept4(dns.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (dns.client >= 0) dns.is_over = dns.other_is_over = 0;
}

static void read_client(void) {
  ssize_t count = read(dns.client, message_in(&dns.outgoing), DNS_MOST);
  if (count > 0) begin(DNS_STREAM, (size_t)count);
  else if (count == 0 || (errno != EAGAIN && errno != EINTR)) end_stream();
}

static void give_client(const unsigned char *bytes, size_t size) {
  if (dns.client < 0) dns.given = size;
  if (dns.given == size) return;
  ssize_t count = send(dns.client, bytes + dns.given, size - dns.given, MSG_NOSIGNAL);
  if (count > 0) dns.given += (size_t)count;
  if (count >= 0 || errno == EAGAIN || errno == EINTR) return;
  close_client();
  dns.given = size;
}

static void give(void) {
  unsigned char *bytes = message_in(&dns.incoming);
  size_t size = dns_size(&dns.incoming);
  switch (get_number(dns.incoming.bytes, 2)) {
    case DNS_DATAGRAM:
      give_answer(bytes, size);
      dns.given = size;
      break;
    case DNS_STREAM: give_client(bytes, size); break;
    case DNS_END:
      close_client();
      dns.other_is_over = 1;
  }
  if (dns.given == size) dns.incoming.have = dns.given = 0;
}

/* Without a waiter there is nobody to ask. */
static void read_port(void) {
  long missing = dns_missing(&dns.incoming);
  if (missing < 0) _exit(1);
  ssize_t count = read(dns.port, dns.incoming.bytes + dns.incoming.have, (size_t)missing);
  if (count > 0) dns.incoming.have += (size_t)count;
  else if (count == 0 || (errno != EAGAIN && errno != EINTR)) _exit(0);
}

static void send_port(void) {
  ssize_t count = write(dns.port, dns.outgoing.bytes + dns.sent, dns.outgoing.have - dns.sent);
  if (count > 0) dns.sent += (size_t)count;
}

static int is_giving(void) {
  return dns_missing(&dns.incoming) == 0;
}

static int is_free(void) {
  return dns.is_over && dns.other_is_over;
}

static void exchange(void) {
  short port = (is_sending() ? POLLOUT : 0) | (is_giving() ? 0 : POLLIN);
  short client = (is_sending() ? 0 : POLLIN) | (is_giving() ? POLLOUT : 0);
  struct pollfd fds[] = {{dns.port, port, 0},
                         {is_sending() ? -1 : dns.datagrams, POLLIN, 0},
                         {is_free() ? dns.listener : -1, POLLIN, 0},
                         {client ? dns.client : -1, client, 0}};
  int ready = poll(fds, sizeof fds / sizeof *fds, dns.client >= 0 ? IDLE : -1);
  if (ready == 0) close_client();
  if (fds[0].revents & POLLOUT) send_port();
  if (fds[0].revents & ~POLLOUT && !is_giving()) read_port();
  if (is_giving()) give();
  if (fds[1].revents && !is_sending()) read_query();
  if (fds[2].revents) accept_client();
  if (dns.client >= 0 && fds[3].revents & ~POLLOUT && !is_sending()) read_client();
  if (dns.client < 0 && !dns.is_over && !is_sending()) end_stream();
}

/* The agent's. */
static void close_others(void) {
  for (int fd = 3; fd < 64; fd++) {
    if (fd != dns.port && fd != dns.datagrams && fd != dns.listener) close(fd);
  }
}

static void __attribute__((noreturn)) serve(void) {
  prctl(PR_SET_NAME, "urunc-dns");
  close_others();
  for (;;) exchange();
}

static void take_port(const char *name, const char *device) {
  if (dns.port < 0 && strcmp(name, DNS_PORT_NAME) == 0) dns.port = open_device(device);
}

void start_name_server(void) {
  dns.port = dns.client = -1;
  if (on_vsock) dns.port = open_vsock(VSOCK_DNS);
  else each_port(take_port);
  if (dns.port < 0) return;
  dns.is_over = dns.other_is_over = 1;
  dns.datagrams = bind_server(SOCK_DGRAM);
  dns.listener = bind_server(SOCK_STREAM);
  if (dns.listener >= 0) listen(dns.listener, WAITING);
  pid_t pid = fork();
  if (pid == 0) serve();
  if (pid < 0) complain("start", "the name server", errno);
  close(dns.port);
  if (dns.datagrams >= 0) close(dns.datagrams);
  if (dns.listener >= 0) close(dns.listener);
}
