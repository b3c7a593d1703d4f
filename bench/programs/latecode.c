/*
 * Code that appears late: what a compiler inside the guest does. Each iteration writes 64 small
 * functions over those of the iteration before, tells the processor, and calls each a few times.
 */
#define _GNU_SOURCE
#include "bench.h"
#include <sys/mman.h>

#define FUNCTIONS 64
#define CALLS 50
#define SPACE 64 /* bytes for each */

static unsigned char *code;

/* uint32_t f(uint32_t x) { return (x + add) ^ flip; }, add and flip under 2048. */
static void emit(unsigned char *at, uint32_t add, uint32_t flip) {
#if defined(__riscv)
  const uint32_t words[] = {
      add << 20 | 10 << 15 | 0 << 12 | 10 << 7 | 0x1b,  /* addiw a0, a0, add */
      flip << 20 | 10 << 15 | 4 << 12 | 10 << 7 | 0x13, /* xori a0, a0, flip */
      0x00008067,                                       /* ret */
  };
  memcpy(at, words, sizeof words);
#elif defined(__x86_64__) || defined(__i386__)
  unsigned char *p = at;
#if defined(__x86_64__)
  *p++ = 0x89, *p++ = 0xf8; /* mov eax, edi */
#else
  *p++ = 0x8b, *p++ = 0x44, *p++ = 0x24, *p++ = 0x04; /* mov eax, [esp + 4] */
#endif
  *p++ = 0x05; /* add eax, add */
  memcpy(p, &add, 4), p += 4;
  *p++ = 0x35; /* xor eax, flip */
  memcpy(p, &flip, 4), p += 4;
  *p++ = 0xc3; /* ret */
#else
#error "no emitter for this processor"
#endif
}

static void setup(void) {
  code = mmap(NULL, FUNCTIONS * SPACE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (code == MAP_FAILED) die("mmap");
}

static uint64_t iterate(void) {
  static uint32_t generation;
  uint32_t x = 1, expected = 1, salt = generation++ * 2654435761u;
  for (uint32_t i = 0; i < FUNCTIONS; i++) emit(code + i * SPACE, (salt + i * 37) & 2047 & ~1u, (salt >> 8 ^ i) & 2047);
  __builtin___clear_cache((char *)code, (char *)code + FUNCTIONS * SPACE);
  for (int call = 0; call < CALLS; call++)
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
      uint32_t (*f)(uint32_t) = (uint32_t(*)(uint32_t))(uintptr_t)(code + i * SPACE);
      x = f(x) & 0xffffff;
      expected = ((expected + ((salt + i * 37) & 2047 & ~1u)) ^ ((salt >> 8 ^ i) & 2047)) & 0xffffff;
    }
  /* Each generation computes something else: what must be the same is that it is right. */
  return x == expected;
}

const struct program latecode_program = {.name = "latecode", .setup = setup, .iterate = iterate};
