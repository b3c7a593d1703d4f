// What programs have in common of which a thread has something apart from the others.
#pragma once
#include "kind.h"
#include <pthread.h>
#include <sched.h>

static volatile int is_apart;
static inline void *unshares(void *flags) {
  CHECK(unshare((long)flags) == 0);
  is_apart = 1;
  for (;;) pause();
}

static inline int thread_apart(long flags) {
  pthread_t t;
  CHECK(pthread_create(&t, 0, unshares, (void *)flags) == 0);
  while (!is_apart) rest_ms(1);
  moved();
  right();
  return 0;
}
