/* Fibonacci numbers by recursion: calls and returns. */
#include "bench.h"

/* Real recursion: no clones, no loops made of the calls. */
__attribute__((noinline, noclone, optimize("no-inline", "no-optimize-sibling-calls", "no-ipa-cp"))) static uint32_t
fib(uint32_t n) {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t iterate(void) {
  uint32_t n = 27;
  OPAQUE(n);
  return fib(n);
}

const struct program fib_program = {.name = "fib", .iterate = iterate};
