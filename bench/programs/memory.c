/* memcpy and memset of the C library over 1 MiB. */
#include "bench.h"

#define SIZE (1u << 20)

static unsigned char *from, *to;

static void setup(void) {
  from = malloc(SIZE);
  to = malloc(SIZE);
  if (from == NULL || to == NULL) die("malloc");
  for (unsigned i = 0; i < SIZE; i++) from[i] = (unsigned char)(i * 31 >> 3);
  memset(to, 1, SIZE);
}

static uint64_t iterate(void) {
  uint64_t sum = 0;
  for (int i = 0; i < 8; i++) {
    int value = i;
    OPAQUE(value);
    memset(to, value, SIZE);
    sum = mix(sum, to[12345]);
    /* Mostly aligned, now and then not, as in life. */
    size_t skew = i % 4 == 3 ? (size_t)i : 0;
    memcpy(to + skew, from + 2 * skew, SIZE - 16);
    sum = mix(sum, (uint64_t)to[0] + to[SIZE / 2] * 256u + to[SIZE - 10] * 65536u);
  }
  return sum;
}

const struct program memory_program = {.name = "memory", .setup = setup, .iterate = iterate};
