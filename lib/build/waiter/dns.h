/*
 * The waiter's side of the port by which a guest asks the name server on the loopback of the container's
 * network namespace: lib/build/guest_init/README.md. Whatever the guest sends goes to 127.0.0.11, port 53,
 * and nowhere else. What breaks the protocol loses its port.
 */
#ifndef URUNC_DNS_H
#define URUNC_DNS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../guest_init/protocol.h"

/*
 * Queries that were not answered for so long may not arrive. Resolvers ask again after five seconds
 * (resolv.conf(5), timeout): that query does. Milliseconds.
 */
#define DNS_PATIENCE 4000

enum stream_state {
  STREAM_NONE,
  STREAM_OPEN,
  STREAM_ENDED, /* here; the agent has not said that it is over */
};

/* -1 without. */
static struct {
  int port, datagrams, stream;
} dns_fd = {-1, -1, -1};

/* The guest has not connected yet: the port listens. */
static int dns_listens;

static struct {
  enum stream_state state;
  /* From the agent: what is whole waits until `given` bytes of it are where they belong. */
  struct dns_frame incoming;
  size_t given;
  /* To the agent, of which `sent` bytes are. */
  struct dns_frame outgoing;
  size_t sent;
  /* When the first query was sent since the last answer; 0 when there was none. Milliseconds. */
  int64_t asked;
} dns;

static int dns_socket(int type) {
  return socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static int dns_connect(int fd) {
  struct sockaddr_in server = {.sin_family = AF_INET,
                               .sin_port = htons(DNS_PORT),
                               .sin_addr.s_addr = htonl(DNS_ADDRESS)};
  return connect(fd, (struct sockaddr *)&server, sizeof server) == 0 || errno == EINPROGRESS;
}

static void dns_close(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

/* Without a socket, queries are not answered, as by a name server that is down. */
static void open_dns(int port, int listens) {
  dns_fd.port = port;
  dns_listens = listens;
  if (port < 0) return;
  dns_fd.datagrams = dns_socket(SOCK_DGRAM);
  dns_connect(dns_fd.datagrams);
}

/*
 * Another source port. Docker's name server is behind a translation of addresses, and listens on another
 * port when dockerd was started again: the kernel then translates as before what comes from the same port,
 * for as long as anything does. A port that the kernel chose is given up with the address (udp(7), connect(2)).
 */
static void renew_dns_port(void) {
  struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
  connect(dns_fd.datagrams, &nowhere, sizeof nowhere);
  dns_connect(dns_fd.datagrams);
  dns.asked = 0;
}

static void close_dns(void) {
  dns_close(&dns_fd.port);
  dns_close(&dns_fd.datagrams);
  dns_close(&dns_fd.stream);
}

static int dns_is_sending(void) {
  return dns.sent < dns.outgoing.have;
}

static void dns_reply(enum dns_type type, size_t size) {
  dns_begin(&dns.outgoing, type, size);
  dns.sent = 0;
}

/* Says that it is over, once for each stream. */
static void end_dns_stream(void) {
  dns_close(&dns_fd.stream);
  dns_reply(DNS_END, 0);
  dns.state = STREAM_ENDED;
}

static void take_dns_stream(const unsigned char *bytes, size_t size) {
  if (dns.state == STREAM_NONE) {
    dns_fd.stream = dns_socket(SOCK_STREAM);
    if (!dns_connect(dns_fd.stream)) dns_close(&dns_fd.stream);
    dns.state = STREAM_OPEN;
  }
  /* What comes after the end is of no use to anybody. */
  if (dns.state == STREAM_ENDED) dns.given = size;
  if (dns.given == size) return;
  ssize_t count = send(dns_fd.stream, bytes + dns.given, size - dns.given, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) dns.given += (size_t)count;
  if (count >= 0 || errno == EAGAIN || errno == EINTR) return;
  end_dns_stream();
  dns.given = size;
}

static void take_dns_end(void) {
  if (dns.state == STREAM_OPEN) end_dns_stream();
  dns.state = STREAM_NONE;
}

static int64_t dns_now(void) {
  struct timespec now = {0};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int is_dns_error(ssize_t count) {
  return count < 0 && errno != EAGAIN && errno != EINTR;
}

/* An error is an earlier query's: this one was not sent. */
static void send_dns_query(const unsigned char *bytes, size_t size) {
  int64_t now = dns_now();
  if (dns.asked && now - dns.asked >= DNS_PATIENCE) renew_dns_port();
  if (!dns.asked) dns.asked = now;
  ssize_t count = send(dns_fd.datagrams, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!is_dns_error(count)) return;
  renew_dns_port();
  send(dns_fd.datagrams, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* A frame that is whole. What the name server does not take at once of datagrams is lost, as on a network. */
static void give_dns(void) {
  unsigned char *bytes = dns.incoming.bytes + FRAME_HEADER;
  size_t size = dns_size(&dns.incoming);
  switch (get_number(dns.incoming.bytes, 2)) {
    case DNS_DATAGRAM:
      send_dns_query(bytes, size);
      dns.given = size;
      break;
    case DNS_STREAM: take_dns_stream(bytes, size); break;
    case DNS_END: take_dns_end();
  }
  if (dns.given == size) dns.incoming.have = dns.given = 0;
}

/* One connection, and no other. */
static void take_dns_connection(void) {
  int connection = accept4(dns_fd.port, NULL, NULL, SOCK_CLOEXEC);
  dns_close(&dns_fd.port);
  dns_fd.port = connection;
  dns_listens = 0;
}

/* Reads no more than one frame. */
static void read_dns(void) {
  if (dns_listens) return take_dns_connection();
  long missing = dns_missing(&dns.incoming);
  ssize_t count = recv(dns_fd.port, dns.incoming.bytes + dns.incoming.have, (size_t)missing, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count > 0) dns.incoming.have += (size_t)count;
  if (count <= 0 || dns_missing(&dns.incoming) < 0) close_dns();
}

/* An answer, or the error of one that was not taken. */
static void read_dns_datagram(void) {
  ssize_t count = recv(dns_fd.datagrams, dns.outgoing.bytes + FRAME_HEADER, DNS_MOST, MSG_DONTWAIT);
  if (is_dns_error(count)) renew_dns_port();
  if (count <= 0) return;
  dns.asked = 0;
  dns_reply(DNS_DATAGRAM, (size_t)count);
}

static void read_dns_stream(void) {
  ssize_t count = recv(dns_fd.stream, dns.outgoing.bytes + FRAME_HEADER, DNS_MOST, MSG_DONTWAIT);
  if (count > 0) dns_reply(DNS_STREAM, (size_t)count);
  else if (count == 0 || (errno != EAGAIN && errno != EINTR)) end_dns_stream();
}

static void send_dns(void) {
  size_t left = dns.outgoing.have - dns.sent;
  ssize_t count = send(dns_fd.port, dns.outgoing.bytes + dns.sent, left, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count > 0) dns.sent += (size_t)count;
  else if (errno != EAGAIN && errno != EINTR) close_dns();
}

static int dns_is_giving(void) {
  return dns_missing(&dns.incoming) == 0;
}

/* Nothing is read that there is no room for: one frame each way. */
static void want_dns(struct pollfd fds[3]) {
  int is_sending = dns_is_sending(), is_giving = dns_is_giving();
  short port = (is_sending ? POLLOUT : 0) | (is_giving ? 0 : POLLIN);
  short stream = is_sending ? 0 : POLLIN | (is_giving ? POLLOUT : 0);
  fds[0] = (struct pollfd){port ? dns_fd.port : -1, port, 0};
  fds[1] = (struct pollfd){is_sending ? -1 : dns_fd.datagrams, POLLIN, 0};
  fds[2] = (struct pollfd){stream ? dns_fd.stream : -1, stream, 0};
}

/* An end of a stream, too, needs room to be sent: frames are given when nothing is being sent. */
static void move_dns(const struct pollfd fds[3]) {
  if (dns_fd.port >= 0 && fds[0].revents && dns_is_sending()) send_dns();
  if (dns_fd.port >= 0 && fds[0].revents & ~POLLOUT && !dns_is_giving()) read_dns();
  if (dns_fd.port >= 0 && fds[1].revents && !dns_is_sending()) read_dns_datagram();
  if (dns_fd.stream >= 0 && fds[2].revents & ~POLLOUT && !dns_is_sending()) read_dns_stream();
  if (dns_fd.port >= 0 && !dns_is_sending() && dns_is_giving()) give_dns();
}

#endif
