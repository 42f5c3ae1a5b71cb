/*
 * What guest init does with netlink messages as a hosted program, for sanitizers: see
 * sanitizers_test.ts. Standard input has records: the size of the data in 4 bytes, the data. Each is
 * answered by the index of the interface that is looked for.
 */
#include <sanitizer/asan_interface.h>
#include <stdio.h>

#include "../../lib/build/guest_init/network.c"

void complain(const char *doing, const char *what, int error) {
  printf("%s %s %d\n", doing, what, error);
}

char *contents_of(const char *path, size_t *size) {
  (void)path, (void)size;
  return NULL;
}

int main(void) {
  const char mac[MAC_SIZE] = {2, 0x42, 10, 88, 3, 7};
  interfaces[0].mac = mac;
  interface_count = 1;
  for (unsigned int size; fread(&size, sizeof size, 1, stdin) == 1;) {
    if (size > sizeof received || fread(received, 1, size, stdin) != size) return 2;
    /* What was not received is not to be read, though there is room for it. */
    ASAN_POISON_MEMORY_REGION(received + size, sizeof received - size);
    interfaces[0].index = 0;
    note_received(size, IFF_UP);
    printf("%d\n", interfaces[0].index);
    ASAN_UNPOISON_MEMORY_REGION(received, sizeof received);
  }
  return 0;
}
