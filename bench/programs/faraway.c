/* Code far apart: 128 functions, each on a page of its own, called in an order that keeps changing. */
#include "bench.h"

#define FUNCTION(n)                                                                    \
  __attribute__((noinline, noclone, aligned(4096))) static uint32_t f##n(uint32_t x) { \
    uint32_t y = x ^ (n * 2654435761u);                                                \
    for (int i = 0; i < 3; i++) y = (y << 5 | y >> 27) + (n + 1);                      \
    return y;                                                                          \
  }
#define EIGHT(n) FUNCTION(n##0) FUNCTION(n##1) FUNCTION(n##2) FUNCTION(n##3) FUNCTION(n##4) FUNCTION(n##5) FUNCTION(n##6) FUNCTION(n##7)
#define NAMES(n) f##n##0, f##n##1, f##n##2, f##n##3, f##n##4, f##n##5, f##n##6, f##n##7

EIGHT(1) EIGHT(2) EIGHT(3) EIGHT(4) EIGHT(5) EIGHT(6) EIGHT(7) EIGHT(8)
EIGHT(10) EIGHT(11) EIGHT(12) EIGHT(13) EIGHT(14) EIGHT(15) EIGHT(16) EIGHT(17)

static uint32_t (*const functions[128])(uint32_t) = {
    NAMES(1),  NAMES(2),  NAMES(3),  NAMES(4),  NAMES(5),  NAMES(6),  NAMES(7),  NAMES(8),
    NAMES(10), NAMES(11), NAMES(12), NAMES(13), NAMES(14), NAMES(15), NAMES(16), NAMES(17)};

static uint64_t iterate(void) {
  uint32_t x = 1;
  for (int i = 0; i < 20000; i++) x = functions[(x >> 7 ^ (uint32_t)i) & 127](x);
  return x;
}

const struct program faraway_program = {.name = "faraway", .iterate = iterate};
