/*
 * Sets up the guest's interfaces by the netlink messages of /urunc/network (lib/guest/initrd/network.ts):
 * ip= on the kernel's command line supports IPv4 only, and only in kernels with CONFIG_IP_PNP. If an
 * interface does not exist yet, because its driver is a module, a child waits until the guest has brought
 * it up, and then adds IPv6, which only it knows; alone in the guest, it does all of it as soon as all
 * interfaces exist.
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
/* MOST_INTERFACES of lib/network/choose.ts. */
#define MOST_INTERFACES 8
/* Of the record of one: its address, how many follow. */
#define RECORD_SIZE 8

/* Those of /urunc/network. Their index is 0 until they are found. */
static struct {
  const char *mac;
  int index, is_set_up;
} interfaces[MOST_INTERFACES];
static size_t interface_count;

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

/* The index of an interface that has these flags goes to those that are looked for. */
static void note_link(char *message, size_t length, unsigned flags) {
  if (header_at(message)->nlmsg_type != RTM_NEWLINK) return;
  if (length < NLMSG_LENGTH(sizeof(struct ifinfomsg))) return;
  const struct ifinfomsg *link = (struct ifinfomsg *)(message + NLMSG_HDRLEN);
  if ((link->ifi_flags & flags) != flags) return;
  for (size_t i = 0; i < interface_count; i++) {
    if (interfaces[i].index == 0 && has_mac(message, length, interfaces[i].mac)) {
      interfaces[i].index = link->ifi_index;
    }
  }
}

/* Whether more of a list may follow what was received. */
static int note_received(size_t count, unsigned flags) {
  for (size_t at = 0; at + NLMSG_HDRLEN <= count;) {
    char *message = received + at;
    size_t length = header_at(message)->nlmsg_len;
    unsigned type = header_at(message)->nlmsg_type;
    if (length < NLMSG_HDRLEN || length > count - at) return 1;
    if (type == NLMSG_DONE || type == NLMSG_ERROR) return 0;
    note_link(message, length, flags);
    at += NLMSG_ALIGN(length);
  }
  return 1;
}

static int are_missing(void) {
  for (size_t i = 0; i < interface_count; i++) {
    if (interfaces[i].index == 0) return 1;
  }
  return 0;
}

static void find_interfaces(int fd) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg link;
  } request = {.header = {sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0}};
  if (send(fd, &request, sizeof request, 0) < 0) return;
  for (int more = 1; more;) {
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count < 0) return;
    more = note_received((size_t)count, 0);
  }
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

/* The interface that a message is for; -1: none of those that are to be set up now. */
static int number_of(int placeholder) {
  size_t number = (size_t)(-1 - placeholder);
  if (placeholder >= 0 || number >= interface_count) return -1;
  return interfaces[number].index == 0 || interfaces[number].is_set_up ? -1 : (int)number;
}

static void set_up(char *messages, const char *end, int is_late) {
  int fd = open_netlink(0);
  if (fd < 0) return complain("set up", "the network", errno);
  for (char *message = messages; message < end; message = next_message(message)) {
    /* An init that loads drivers handles ip= as well, perhaps at the same time. */
    if (is_late && message[NLMSG_HDRLEN] != AF_INET6) continue;
    unsigned type = header_at(message)->nlmsg_type;
    int *at = (int *)(message + (type == RTM_NEWROUTE ? ROUTE_INDEX_AT : INDEX_AT));
    int placeholder = *at, number = number_of(placeholder);
    if (placeholder < 0 && number < 0) continue;
    if (number >= 0) *at = interfaces[number].index;
    int error = request(fd, message);
    *at = placeholder;
    /* Done by the kernel, by ip=; or the kernel was built without this family. */
    int is_done = error == EEXIST && type != RTM_NEWLINK;
    if (error == 0 || is_done || error == EOPNOTSUPP || error == EAFNOSUPPORT) continue;
    complain("set up", "the network", error);
  }
  for (size_t i = 0; i < interface_count; i++) interfaces[i].is_set_up = interfaces[i].index != 0;
  close(fd);
}

static void __attribute__((noreturn)) wait_and_set_up(int fd, char *messages, const char *end,
                                                      int alone) {
  while (are_missing()) {
    ssize_t count = recv(fd, received, sizeof received, 0);
    if (count < 0) break;
    note_received((size_t)count, alone ? 0 : IFF_UP);
  }
  set_up(messages, end, !alone);
  _exit(0);
}

/* Of the records at the beginning of the file. Returns what follows them. */
static char *read_records(char *content, size_t size) {
  char *record = content;
  int more = 1;
  while (more && interface_count < MOST_INTERFACES && record + RECORD_SIZE <= content + size) {
    interfaces[interface_count++].mac = record;
    more = record[MAC_SIZE];
    record += RECORD_SIZE;
  }
  return record;
}

/* /urunc/network: records of the interfaces, and netlink messages with -1 in place of the index of the first
 * interface, -2 of the second … */
void set_up_network(int alone) {
  size_t size;
  char *content = contents_of("network", &size);
  if (content == NULL) return;
  char *messages = read_records(content, size), *end = content + size;

  /* Subscribes before it looks, so that no change in between is missed. */
  int fd = open_netlink(RTMGRP_LINK);
  if (fd < 0) return complain("set up", "the network", errno);
  find_interfaces(fd);
  set_up(messages, end, 0);
  if (are_missing() && (alone || has_inet6(messages, end)) && fork() == 0) {
    wait_and_set_up(fd, messages, end, alone);
  }
  close(fd);
}
