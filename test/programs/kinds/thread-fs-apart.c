// refused: a working directory of a thread's own
#include "kind.h"
#include <pthread.h>
#include <sched.h>

static volatile int done;
static void *thread(void *unused) {
  CHECK(unshare(CLONE_FS) == 0);
  done = 1;
  for (;;) pause();
}

int main(void) {
  pthread_t t;
  CHECK(pthread_create(&t, 0, thread, 0) == 0);
  while (!done) rest_ms(1);
  moved();
  right();
}
