/*
 * Sets up the guest's interface by the netlink messages of /urunc/network (lib/guest/initrd/network.ts):
 * ip= on the kernel's command line supports IPv4 only, and only in kernels with CONFIG_IP_PNP. If the
 * interface does not exist yet, because its driver is a module, a child waits until the guest has brought
 * it up, and then adds IPv6, which only it knows; alone in the guest, it does all of it as soon as the
 * interface exists.
 */
#include "init.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAC_SIZE 6
/* Where a message has its interface: struct ifinfomsg and ifaddrmsg alike; the first attribute of a
 * route, RTA_OIF, behind struct rtmsg. */
#define INDEX_AT (NLMSG_HDRLEN + 4)
#define ROUTE_INDEX_AT (NLMSG_HDRLEN + sizeof(struct rtmsg) + sizeof(struct rtattr))

static char received[32768] __attribute__((aligned(4)));

static struct nlmsghdr *header_at(char *message) {
  return (struct nlmsghdr *)message;
}

static int open_netlink(unsigned groups) {
  struct sockaddr_nl name = {.nl_family = AF_NETLINK, .nl_groups = groups};
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&name, sizeof name) < 0) {
    close(fd);
    return -1;
  }
  return fd;
}

static int has_mac(const char *message, size_t length, const char *mac) {
  for (size_t at = NLMSG_HDRLEN + sizeof(struct ifinfomsg); at + sizeof(struct rtattr) <= length;) {
    const struct rtattr *attribute = (const struct rtattr *)(message + at);
    size_t size = attribute->rta_len;
    if (size < sizeof *attribute || at + size > length) return 0;
    if (attribute->rta_type == IFLA_ADDRESS && size == RTA_LENGTH(MAC_SIZE)) {
      return memcmp(message + at + RTA_LENGTH(0), mac, MAC_SIZE) == 0;
    }
    at += RTA_ALIGN(size);
  }
  return 0;
}

static int is_link(char *message, size_t length, const char *mac, unsigned flags) {
  if (header_at(message)->nlmsg_type != RTM_NEWLINK) return 0;
  if (length < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return 0;
  const struct ifinfomsg *link = (struct ifinfomsg *)(message + NLMSG_HDRLEN);
  return has_mac(message, length, mac) && (link->ifi_flags & flags) == flags;
}

/* The index of the interface with this address and these flags in what was received; 0: it is not there;
 * -1: end of the list. */
static int find_in_received(size_t count, const char *mac, unsigned flags) {
  for (size_t at = 0; at + NLMSG_HDRLEN <= count;) {
    char *message = received + at;
    size_t length = header_at(message)->nlmsg_len;
    unsigned type = header_at(message)->nlmsg_type;
    if (length < NLMSG_HDRLEN || length > count - at) return 0;
    if (type == NLMSG_DONE || type == NLMSG_ERROR) return -1;
    if (is_link(message, length, mac, flags)) {
      return ((struct ifinfomsg *)(message + NLMSG_HDRLEN))->ifi_index;
    }
    at += NLMSG_ALIGN(length);
  }
  return 0;
}

/* 0: there is none. */
static int first_link(int fd, const char *mac) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {.header = {sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}};
  int index = send(fd, &request, sizeof request, 0) < 0 ? -1 : 0;
  while (index == 0) {
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count < 0) return 0;
    index = find_in_received((size_t)count, mac, 0);
  }
  return index < 0 ? 0 : index;
}

static char *next_message(char *message) {
  return message + NLMSG_ALIGN(header_at(message)->nlmsg_len);
}

/* The family is the first byte of every message's structure. */
static int has_inet6(char *messages, const char *end) {
  for (char *message = messages; message < end; message = next_message(message)) {
    if (message[NLMSG_HDRLEN] == AF_INET6) return 1;
  }
  return 0;
}

static int request(int fd, char *message) {
  if (send(fd, message, header_at(message)->nlmsg_len, 0) < 0) return errno;
  ssize_t count = recv(fd, received, sizeof received, 0);
  return count < 0 ? errno : -((struct nlmsgerr *)(received + NLMSG_HDRLEN))->error;
}

static void set_up(char *messages, const char *end, int index, int is_late) {
  int fd = open_netlink(0);
  if (fd < 0) return complain("set up", "the network", errno);
  for (char *message = messages; message < end; message = next_message(message)) {
    /* An init that loads drivers handles ip= as well, perhaps at the same time. */
    if (is_late && message[NLMSG_HDRLEN] != AF_INET6) continue;
    int is_route = header_at(message)->nlmsg_type == RTM_NEWROUTE;
    int *at = (int *)(message + (is_route ? ROUTE_INDEX_AT : INDEX_AT));
    if (*at == 0) *at = index;
    int error = request(fd, message);
    /* Done by the kernel, by ip=; or the kernel was built without this family. */
    if (error == 0 || error == EEXIST || error == EOPNOTSUPP || error == EAFNOSUPPORT) continue;
    complain("set up", "the network", error);
  }
  close(fd);
}

static void __attribute__((noreturn)) wait_and_set_up(int fd, const char *mac, char *messages,
                                                      char *end, int alone) {
  int index = 0;
  while (index <= 0) {
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count < 0) break;
    index = find_in_received((size_t)count, mac, alone ? 0 : IFF_UP);
  }
  if (index > 0) set_up(messages, end, index, !alone);
  _exit(0);
}

/* /urunc/network: the interface's address (6 bytes), 2 unused bytes, netlink messages with 0 in place of
 * the interface's index. */
void set_up_network(int alone) {
  size_t size;
  char *content = contents_of("network", &size);
  if (content == NULL) return;
  char *messages = content + 8, *end = content + size;

  /* Subscribes before it looks, so that no change in between is missed. */
  int fd = open_netlink(RTMGRP_LINK);
  if (fd < 0) return complain("set up", "the network", errno);
  int index = first_link(fd, content);
  if (index > 0) set_up(messages, end, index, 0);
  else if ((alone || has_inet6(messages, end)) && fork() == 0) {
    wait_and_set_up(fd, content, messages, end, alone);
  }
  close(fd);
}
