/*
 * What a benchmark program is: a setup that is not measured, and an iteration that does
 * the same work and returns the same value each time it is called, on every machine.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Each program's code begins on a page of its own: whether a hot loop happens to lie over a page's
 * end must not depend on what the linker put before it. (straddle.c does that on purpose.)
 */
__asm__(".text\n.balign 4096\n");

struct program {
  const char *name;
  void (*setup)(void);
  uint64_t (*iterate)(void);
  /* CPU time in nanoseconds of processes the program keeps and does not wait for, or NULL. */
  uint64_t (*others)(void);
  /* After the last iteration, or NULL. */
  void (*finish)(void);
};

/* Where this program lies, as it was started. */
extern const char *own_path;

/* Gives up: the message reaches the host, and the run counts as failed. */
void die(const char *what);

/* A 64-bit mix for checksums (the finalizer of MurmurHash3). */
static inline uint64_t mix(uint64_t h, uint64_t value) {
  h ^= value;
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  h ^= h >> 33;
  return h;
}

/* A generator of test data (xorshift64*), never zero. */
static inline uint64_t next_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 0x2545f4914f6cdd1dULL;
}

static inline uint64_t double_bits(double value) {
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline uint32_t float_bits(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

/* Keeps the compiler from knowing a value, so that it cannot compute the result at compile time. */
#define OPAQUE(x) __asm__ volatile("" : "+r"(x))

#endif
