/* A 64-bit hash with multiplications and rotations (the rounds of xxHash64) over 256 KiB. */
#include "bench.h"

#define WORDS 32768

static uint64_t data[WORDS];

static const uint64_t P1 = 0x9e3779b185ebca87ULL, P2 = 0xc2b2ae3d27d4eb4fULL, P3 = 0x165667b19e3779f9ULL;

static inline uint64_t rotate(uint64_t x, int n) { return x << n | x >> (64 - n); }
static inline uint64_t step(uint64_t lane, uint64_t word) { return rotate(lane + word * P2, 31) * P1; }

static void setup(void) {
  uint64_t random = 42;
  for (int i = 0; i < WORDS; i++) data[i] = next_random(&random);
}

static uint64_t iterate(void) {
  uint64_t hash = 0;
  for (int turn = 0; turn < 8; turn++) {
    uint64_t a = hash + P1 + P2, b = hash + P2, c = hash, d = hash - P1;
    for (int i = 0; i < WORDS; i += 4) {
      a = step(a, data[i]);
      b = step(b, data[i + 1]);
      c = step(c, data[i + 2]);
      d = step(d, data[i + 3]);
    }
    hash = rotate(a, 1) + rotate(b, 7) + rotate(c, 12) + rotate(d, 18);
    hash = (hash ^ hash >> 33) * P3;
  }
  return mix(0, hash);
}

const struct program hash64_program = {.name = "hash64", .setup = setup, .iterate = iterate};
