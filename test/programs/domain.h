// What all test domains have: a check that ends them with the reason, and the line that says they go on.
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CHECK(x) \
  do { \
    if (!(x)) { \
      printf("broken: %s:%d %s (errno %d)\n", __FILE__, __LINE__, #x, errno); \
      fflush(stdout); \
      _exit(1); \
    } \
  } while (0)

static inline void turn_done(uint64_t turn) {
  printf("turn %lu pid %d\n", (unsigned long)turn, getpid());
  fflush(stdout);
}

static inline int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// Not interrupted by anything: the kernel counts to a point in time.
static inline void rest_ms(int64_t ms) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  t.tv_nsec += ms % 1000 * 1000000;
  t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
  t.tv_nsec %= 1000000000;
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0) != 0) {}
}
