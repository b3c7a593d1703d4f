// refused: SIGSTKFLT
// A timer that sends the signal by which threads are stopped when they are moved.
#include "kind.h"
#include <time.h>

int main(void) {
  struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGSTKFLT};
  timer_t id;
  CHECK(timer_create(CLOCK_MONOTONIC, &e, &id) == 0);
  moved();
  CHECK(timer_delete(id) == 0);
  right();
}
