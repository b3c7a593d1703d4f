// A process that may run on one processor only, and a thread that may run on all.
#include "kind.h"
#include <pthread.h>
#include <sched.h>

static volatile int ready, look;
static void *thread(void *unused) {
  cpu_set_t set;
  ready = 1;
  while (!look) rest_ms(5);
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == sysconf(_SC_NPROCESSORS_ONLN));
  return 0;
}

int main(void) {
  pthread_t t;
  cpu_set_t set;
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!ready) rest_ms(1);
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  CHECK(sched_setaffinity(0, sizeof set, &set) == 0);
  moved();
  look = 1;
  CHECK(pthread_join(t, 0) == 0);
  CPU_ZERO(&set);
  CHECK(sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) == 1 && CPU_ISSET(0, &set));
  right();
}
