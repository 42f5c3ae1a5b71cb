/*
 * Random numbers before the program starts: a kernel that boots has few events to collect them from, and
 * getrandom(2) waits until there are enough.
 */
#define _GNU_SOURCE
#include "surroundings.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

/* The generator is ready with 256 bits (POOL_READY_BITS, drivers/char/random.c). */
#define SEED 32

/* The monitor's device is the only one that the guest has; it answers at once. */
void seed_random(void) {
  /* struct rand_pool_info, linux/random.h. */
  struct {
    int bits, size;
    unsigned char bytes[SEED];
  } seed = {.bits = 8 * SEED, .size = SEED};
  unsigned char byte;
  if (getrandom(&byte, 1, GRND_NONBLOCK) == 1) return;
  int device = open("/dev/hwrng", O_RDONLY | O_CLOEXEC);
  int kernel = open("/dev/random", O_WRONLY | O_CLOEXEC);
  if (device >= 0 && kernel >= 0 && read(device, seed.bytes, SEED) == SEED) {
    if (ioctl(kernel, RNDADDENTROPY, &seed) < 0) complain("seed", "random numbers", errno);
  }
  if (device >= 0) close(device);
  if (kernel >= 0) close(kernel);
}
