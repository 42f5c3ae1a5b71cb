/*
 * On vsock a guest makes the connections for further processes: lib/build/guest_init/README.md. The waiter
 * holds the next one until a caller comes, and hands it over as a descriptor; it reads and writes nothing of
 * it.
 */
#ifndef URUNC_HANDING_H
#define URUNC_HANDING_H

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two sockets that listen, -1 without; and the guest's next connection. */
static struct {
  int guests, callers, next;
} handing = {-1, -1, -1};

static void open_handing(int first) {
  if (first < 0) return;
  handing.guests = first;
  handing.callers = first + 1;
}

/* A byte, and the descriptor with it. Returns whether it was sent. */
static int send_file(int connection, int file) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof file)] = {0};
  struct iovec byte = {"", 1};
  struct msghdr message = {
      .msg_iov = &byte, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  *header = (struct cmsghdr){
      .cmsg_len = CMSG_LEN(sizeof file), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
  memcpy(CMSG_DATA(header), &file, sizeof file);
  return sendmsg(connection, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

/* One that a caller did not take is the next one's. */
static void hand_over(void) {
  int caller = accept4(handing.callers, NULL, NULL, SOCK_CLOEXEC);
  if (caller < 0) return;
  if (send_file(caller, handing.next)) {
    close(handing.next);
    handing.next = -1;
  }
  close(caller);
}

/* Callers wait in their queue until there is a connection; of that only its end is waited for. */
static void want_handing(struct pollfd fds[2]) {
  int has_next = handing.next >= 0;
  fds[0] = (struct pollfd){has_next ? handing.next : handing.guests, has_next ? 0 : POLLIN, 0};
  fds[1] = (struct pollfd){has_next ? handing.callers : -1, POLLIN, 0};
}

static void move_handing(const struct pollfd fds[2]) {
  if (fds[0].revents && handing.next < 0) {
    handing.next = accept4(handing.guests, NULL, NULL, SOCK_CLOEXEC);
  } else if (fds[0].revents) {
    close(handing.next);
    handing.next = -1;
  } else if (fds[1].revents) {
    hand_over();
  }
}

#endif
