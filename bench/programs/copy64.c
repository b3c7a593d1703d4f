/* A loop that copies 64-bit words, as a compiler makes it. */
#include "bench.h"

#define WORDS (1u << 16)

/*
 * A distance that is no power of two pages: else a direct-mapped TLB of a certain size would have the
 * two of each pair push one another out, and nothing else would be measured.
 */
static uint64_t area[2 * WORDS + 37 * 512];
static uint64_t *const from = area, *const to = area + WORDS + 37 * 512;

static void setup(void) {
  uint64_t random = 99;
  for (unsigned i = 0; i < WORDS; i++) from[i] = next_random(&random), to[i] = i;
}

/* Not memcpy, and not vectors either: the loop is what is measured. */
__attribute__((noinline, optimize("no-tree-loop-distribute-patterns", "no-tree-vectorize"))) static void
copy(uint64_t *restrict out, const uint64_t *restrict in, unsigned count) {
  for (unsigned i = 0; i < count; i++) out[i] = in[i];
}

static uint64_t iterate(void) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < 16; i++) {
    copy(to + i, from, WORDS - 16);
    sum = mix(sum, to[i + 1000]);
  }
  return sum;
}

const struct program copy64_program = {.name = "copy64", .setup = setup, .iterate = iterate};
