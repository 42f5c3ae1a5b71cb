/*
 * On vsock a guest makes the connections for further processes: lib/build/guest_init/README.md. The waiter
 * holds the next one until a caller comes, and hands it over as a descriptor. It writes nothing to it, and reads
 * nothing but the secret by which it knows the agent's: any process of the guest can connect.
 */
#ifndef URUNC_HANDING_H
#define URUNC_HANDING_H

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"

/*
 * Connections that have not shown the secret. Each takes the place of the one that came so many before it: who
 * connects and says nothing keeps nobody out, and never fills the queue, in which Firecracker would wait.
 */
#define STRANGERS 16
/* The guest's socket, its next connection, the callers' socket; and the strangers. */
#define HANDING_FDS (3 + STRANGERS)

struct stranger {
  int fd;
  size_t have;
  unsigned char bytes[NONCE_SIZE];
};

/* Two sockets that listen, -1 without; and the guest's next connection. */
static struct {
  int guests, callers, next;
  /* The place of the stranger that comes next. */
  unsigned place;
  struct stranger strangers[STRANGERS];
} handing = {.guests = -1, .callers = -1, .next = -1, .strangers = {[0 ... STRANGERS - 1] = {.fd = -1}}};

static void open_handing(int first) {
  if (first < 0) return;
  handing.guests = first;
  handing.callers = first + 1;
}

static void replace_handed(int *fd, int other) {
  if (*fd >= 0) close(*fd);
  *fd = other;
}

/* A byte, and the descriptor with it. Returns an errno. */
static int send_file(int connection, int file) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof file)] = {0};
  struct iovec byte = {"", 1};
  struct msghdr message = {
      .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(sizeof file), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &file, sizeof file);
  return sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? errno : 0;
}

/*
 * One that a caller did not take is the next one's. A caller that is still there gets the errno in the place of
 * the descriptor, as of a user with too many of them on their way (unix(7), ETOOMANYREFS): the end of the
 * connection alone is the container's.
 */
static void hand_over(void) {
  int caller = accept4(handing.callers, NULL, NULL, SOCK_CLOEXEC);
  if (caller < 0) return;
  unsigned char error = (unsigned char)send_file(caller, handing.next);
  if (error) send(caller, &error, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  else replace_handed(&handing.next, -1);
  close(caller);
}

static void take_stranger(void) {
  int connection = accept4(handing.guests, NULL, NULL, SOCK_CLOEXEC);
  if (connection < 0) return;
  struct stranger *stranger = &handing.strangers[handing.place++ % STRANGERS];
  replace_handed(&stranger->fd, connection);
  stranger->have = 0;
}

/* Takes as long whatever the bytes are. */
static int is_secret(const unsigned char bytes[NONCE_SIZE]) {
  volatile unsigned char difference = 0;
  for (int i = 0; i < NONCE_SIZE; i++) difference |= bytes[i] ^ channel.nonce[i];
  return difference == 0;
}

/* No byte more than the secret: what follows is the caller's. An agent has one connection at a time. */
static void question(struct stranger *stranger) {
  size_t left = NONCE_SIZE - stranger->have;
  ssize_t count = recv(stranger->fd, stranger->bytes + stranger->have, left, MSG_DONTWAIT);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (count > 0 && (stranger->have += (size_t)count) < NONCE_SIZE) return;
  if (count > 0 && is_secret(stranger->bytes)) replace_handed(&handing.next, stranger->fd);
  else close(stranger->fd);
  stranger->fd = -1;
}

/* Callers wait in their queue until there is a connection; of that only its end is waited for. */
static void want_handing(struct pollfd fds[HANDING_FDS]) {
  fds[0] = (struct pollfd){handing.guests, POLLIN, 0};
  fds[1] = (struct pollfd){handing.next, 0, 0};
  fds[2] = (struct pollfd){handing.next < 0 ? -1 : handing.callers, POLLIN, 0};
  for (int i = 0; i < STRANGERS; i++) fds[3 + i] = (struct pollfd){handing.strangers[i].fd, POLLIN, 0};
}

static void move_handing(const struct pollfd fds[HANDING_FDS]) {
  if (fds[1].revents) replace_handed(&handing.next, -1);
  else if (fds[2].revents) hand_over();
  for (int i = 0; i < STRANGERS; i++) {
    if (fds[3 + i].revents) question(&handing.strangers[i]);
  }
  if (fds[0].revents) take_stranger();
}

#endif
