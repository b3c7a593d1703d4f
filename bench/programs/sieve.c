/* The sieve of Eratosthenes over 8 MiB, one byte per number. */
#include "bench.h"

#define LIMIT (8u << 20)

static uint8_t *composite;

static void setup(void) {
  composite = malloc(LIMIT);
  if (composite == NULL) die("malloc");
  memset(composite, 1, LIMIT);
}

static uint64_t iterate(void) {
  memset(composite, 0, LIMIT);
  for (uint32_t i = 2; i * i < LIMIT; i++) {
    if (composite[i]) continue;
    for (uint32_t j = i * i; j < LIMIT; j += i) composite[j] = 1;
  }
  uint32_t primes = 0;
  for (uint32_t i = 2; i < LIMIT; i++) primes += !composite[i];
  return primes;
}

const struct program sieve_program = {.name = "sieve", .setup = setup, .iterate = iterate};
