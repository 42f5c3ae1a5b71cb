/*
 * The parsers of the entry stub as a hosted program, for sanitizers: see sanitizers_test.ts. Standard
 * input has records: a letter, the size of the data in 4 bytes, the data. Each is answered by a line.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../lib/build/stub/stub.c"

static void print_group(struct text json) {
  struct text group = {0, 0};
  if (!find_group(json, &group)) printf("undecided");
  else if (!group.at) printf("none");
  else
    for (printf("="); group.at < group.end; group.at++) printf("%02x", (u8)*group.at);
}

/* The data is three texts, each with its NUL. */
static void print_hash(const char *address) {
  const char *namespace = next(address);
  char hash[GROUP_DIGITS + 1];
  append_hash(hash, address, namespace, text_of(next(namespace)));
  printf("%s", hash);
}

int main(void) {
  u32 size;
  for (int kind; (kind = getchar()) != EOF; printf("\n")) {
    if (fread(&size, sizeof size, 1, stdin) != 1) return 2;
    char *data = malloc(size); /* Of exactly this size: a byte read too many is noticed. */
    if (fread(data, 1, size, stdin) != size) return 2;
    struct text text = {data, data + size};
    if (kind == 't') printf("%d", is_namespace_group(text));
    else if (kind == 'j') print_group(text);
    else if (kind == 'h') print_hash(data);
    else if (kind == 'u') printf("%d", is_utf8(data));
    else return 2;
    free(data);
  }
  return 0;
}
