/*
 * Stands in for a monitor and its guest: attaches to a tap the way QEMU does.
 *
 *   guest hold TUN_NODE TAP                        prints "attached"; stays until stdin ends
 *   guest arp TUN_NODE TAP OUR_MAC OUR_IP THEIR_IP asks by ARP who has an address, prints "reply
 *                                                  from MAC" or where it failed; one exchange
 *                                                  shows both directions of the path
 *   guest send TUN_NODE TAP FRAME...               sends frames, given in hexadecimal, prints "sent"
 *   guest relay TUN_NODE TAP NETNS plain|offload   the guest is the network stack of another
 *                                                  namespace, behind a tap "guest0" made there;
 *                                                  prints "attached", copies until it is killed
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define VNET_HDR 10
#define FRAME 60
#define ROUNDS 20

static int fail(const char *what) {
  printf("%s: %s\n", what, strerrorname_np(errno));
  return 1;
}

static int attach(const char *node, const char *name, int flags) {
  int fd = open(node, O_RDWR);
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | flags};
  strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0) return -1;
  return fd;
}

static int hold(void) {
  char byte;
  puts("attached");
  while (read(0, &byte, 1) > 0) {}
  return 0;
}

static int arp(int fd, char **argv) {
  unsigned char out[VNET_HDR + FRAME] = {0}, *frame = out + VNET_HDR;
  unsigned char *mac = frame + 6;
  if (sscanf(argv[0], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4,
             mac + 5) != 6)
    return 2;
  memset(frame, 0xff, 6);
  /* EtherType ARP; Ethernet, IPv4, lengths 6 and 4, request */
  memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
  memcpy(frame + 22, mac, 6);
  if (inet_pton(AF_INET, argv[1], frame + 28) != 1) return 2;
  if (inet_pton(AF_INET, argv[2], frame + 38) != 1) return 2;

  for (int round = 0; round < ROUNDS; round++) {
    if (write(fd, out, sizeof out) != sizeof out) return fail("write");
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 100) > 0) {
      unsigned char in[2048], *reply = in + VNET_HDR;
      ssize_t size = read(fd, in, sizeof in);
      if (size < 0) return fail("read");
      if (size < VNET_HDR + 42 || memcmp(reply + 12, "\x08\x06", 2) || reply[21] != 2) continue;
      if (memcmp(reply + 28, frame + 38, 4)) continue;
      printf("reply from %02x:%02x:%02x:%02x:%02x:%02x\n", reply[22], reply[23], reply[24],
             reply[25], reply[26], reply[27]);
      return 0;
    }
  }
  puts("no reply");
  return 1;
}

static int send_frames(int fd, char **frames) {
  for (; *frames != NULL; frames++) {
    unsigned char out[VNET_HDR + 2048] = {0};
    size_t size = strlen(*frames) / 2;
    if (size > 2048) return 2;
    for (size_t i = 0; i < size; i++)
      if (sscanf(*frames + 2 * i, "%2hhx", out + VNET_HDR + i) != 1) return 2;
    if (write(fd, out, VNET_HDR + size) != (ssize_t)(VNET_HDR + size)) return fail("write");
  }
  puts("sent");
  return 0;
}

static int relay(int fd, const char *node, const char *netns, int offload) {
  int namespace = open(netns, O_RDONLY);
  if (namespace < 0 || setns(namespace, CLONE_NEWNET) < 0) return fail("setns");
  int guest = attach(node, "guest0", offload ? IFF_VNET_HDR : 0);
  if (guest < 0) return fail("attach guest0");
  int features = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
  if (offload && (ioctl(fd, TUNSETOFFLOAD, features) < 0 ||
                  ioctl(guest, TUNSETOFFLOAD, features) < 0))
    return fail("offload");
  puts("attached");
  for (;;) {
    struct pollfd ends[2] = {{.fd = fd, .events = POLLIN}, {.fd = guest, .events = POLLIN}};
    if (poll(ends, 2, -1) < 0) return fail("poll");
    for (int i = 0; i < 2; i++) {
      static unsigned char frame[1 << 17];
      if (!(ends[i].revents & POLLIN)) continue;
      ssize_t size = read(ends[i].fd, frame, sizeof frame);
      /* An end that is still down takes nothing (EIO): frames may be lost. */
      if (size > 0 && write(ends[!i].fd, frame, size) < 0 && errno != EIO) return fail("write");
    }
  }
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc < 4) return 2;
  int offload = argc == 6 && !strcmp(argv[5], "offload");
  int plain = argc == 6 && !strcmp(argv[5], "plain");
  int fd = attach(argv[2], argv[3], plain ? 0 : IFF_VNET_HDR);
  if (fd < 0) return fail("attach");
  if (!strcmp(argv[1], "hold")) return hold();
  if (!strcmp(argv[1], "arp") && argc == 7) return arp(fd, argv + 4);
  if (!strcmp(argv[1], "send")) return send_frames(fd, argv + 4);
  if (!strcmp(argv[1], "relay") && (plain || offload)) return relay(fd, argv[2], argv[4], offload);
  return 2;
}
