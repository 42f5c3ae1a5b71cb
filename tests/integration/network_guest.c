/*
 * Stands in for a monitor and its guest: attaches to a tap the way QEMU does, then asks by ARP who
 * has an address and waits for the answer. One exchange shows both directions of the path.
 *
 *   guest TUN_NODE TAP OUR_MAC OUR_IP THEIR_IP     prints "reply from MAC", or where it failed
 *   guest TUN_NODE TAP                             prints "attached", and stays until stdin ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
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

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IONBF, 0);
  if (argc != 3 && argc != 6) return 2;
  int fd = open(argv[1], O_RDWR);
  if (fd < 0) return fail("open");
  struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
  strncpy(request.ifr_name, argv[2], IFNAMSIZ - 1);
  if (ioctl(fd, TUNSETIFF, &request) < 0) return fail("attach");
  if (argc == 3) {
    char byte;
    puts("attached");
    while (read(0, &byte, 1) > 0) {}
    return 0;
  }

  unsigned char out[VNET_HDR + FRAME] = {0}, *frame = out + VNET_HDR;
  unsigned char *mac = frame + 6;
  if (sscanf(argv[3], "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", mac, mac + 1, mac + 2, mac + 3, mac + 4,
             mac + 5) != 6)
    return 2;
  memset(frame, 0xff, 6);
  /* EtherType ARP; Ethernet, IPv4, lengths 6 and 4, request */
  memcpy(frame + 12, "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01", 10);
  memcpy(frame + 22, mac, 6);
  if (inet_pton(AF_INET, argv[4], frame + 28) != 1) return 2;
  if (inet_pton(AF_INET, argv[5], frame + 38) != 1) return 2;

  for (int round = 0; round < ROUNDS; round++) {
    if (write(fd, out, sizeof out) != sizeof out) return fail("write");
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    while (poll(&ready, 1, 250) > 0) {
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
