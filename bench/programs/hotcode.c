/*
 * Code that keeps changing and is hot each time: each iteration writes sixteen functions with a loop over
 * those of the iteration before and runs each twice: long enough that a translator takes it for worth its
 * while, and again when as many are waiting to be compiled as our own compiles together.
 * RISC-V only: for the long run of our own machine, not for comparisons.
 */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/mman.h>

#define FUNCTIONS 16
#define PASSES 2
#define ROUNDS 10000
/* Each on a page of its own. */
#define SPACE 4096

static unsigned char *code;

static void setup(void) {
  code = mmap(NULL, FUNCTIONS * SPACE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) die("mmap");
}

#if defined(__riscv)
/* uint32_t f(uint32_t x, long n) { do x = (x + add) ^ flip; while (--n); return x; }, add and flip under 2048. */
static void emit(unsigned char *at, uint32_t add, uint32_t flip) {
  const uint32_t words[] = {
      add << 20 | 10 << 15 | 0 << 12 | 10 << 7 | 0x1b,  /* addiw a0, a0, add */
      flip << 20 | 10 << 15 | 4 << 12 | 10 << 7 | 0x13, /* xori a0, a0, flip */
      0xfff58593,                                       /* addi a1, a1, -1 */
      0xfe059ae3,                                       /* bnez a1, -12 */
      0x00008067,                                       /* ret */
  };
  memcpy(at, words, sizeof words);
}

static uint64_t iterate(void) {
  static uint32_t generation;
  uint32_t salt = generation++ * 2654435761u;
  for (uint32_t i = 0; i < FUNCTIONS; i++) emit(code + i * SPACE, (salt + i * 37) & 2047, (salt >> 8 ^ i) & 2047);
  __builtin___clear_cache((char *)code, (char *)code + FUNCTIONS * SPACE);
  uint32_t x = 1, expected = 1;
  for (uint32_t n = 0; n < PASSES * FUNCTIONS; n++) {
    uint32_t i = n % FUNCTIONS;
    uint32_t (*f)(uint32_t, long) = (uint32_t(*)(uint32_t, long))(uintptr_t)(code + i * SPACE);
    x = f(x, ROUNDS);
    for (int r = 0; r < ROUNDS; r++) expected = (expected + ((salt + i * 37) & 2047)) ^ ((salt >> 8 ^ i) & 2047);
  }
  /* Each generation computes something else: what must be the same is that it is right. */
  return x == expected;
}
#else
static uint64_t iterate(void) {
  die("hotcode is for riscv64");
  return 0;
}
#endif

const struct program hotcode_program = {.name = "hotcode", .setup = setup, .iterate = iterate};
