// More threads than are taken over in one batch: each goes on with a count of its own.
#include "kind.h"
#include <pthread.h>

#define THREADS 120

static volatile uint64_t counted[THREADS];

static void *count(void *which) {
  for (;;) {
    counted[(uintptr_t)which]++;
    rest_ms(200);
  }
}

int main(void) {
  pthread_attr_t small;
  CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 65536) == 0);
  for (uintptr_t i = 0; i < THREADS; i++) {
    pthread_t t;
    CHECK(pthread_create(&t, &small, count, (void *)i) == 0);
  }
  uint64_t before[THREADS];
  moved();
  for (int i = 0; i < THREADS; i++) before[i] = counted[i];
  rest_ms(2000);
  for (int i = 0; i < THREADS; i++) CHECK(counted[i] > before[i]);
  right();
}
