// Jobs that sleep, and are stopped and continued all the time: none sleeps less than it asked for, also of those that begin a sleep
// between one move and the next.
// fails: resume
#include "kind.h"
#include <sys/mman.h>
#include <time.h>

enum { SLEEPERS = 24, LONG_MS = 6000 };
// Whether the sleep that each is in is to be its last.
static volatile int *over;

static void sleeps(int which) {
  // One after the other, so that at any time some are about to begin another sleep.
  for (int ms = (which + 1) * LONG_MS / SLEEPERS;; ms = LONG_MS) {
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    int64_t before = now_ms();
    CHECK(nanosleep(&t, 0) == 0);
    int64_t took = now_ms() - before;
    if (took < ms - 5) printf("broken: a sleep of %d ms took %ld ms\n", ms, (long)took);
    CHECK(took >= ms - 5);
    if (*over) _exit(0);
  }
}

int main(void) {
  pid_t pids[SLEEPERS];
  over = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(over != MAP_FAILED);
  for (int i = 0; i < SLEEPERS; i++) {
    CHECK((pids[i] = fork()) >= 0);
    if (pids[i] == 0) sleeps(i);
  }
  pid_t stopper = fork();
  if (stopper == 0)
    for (;;) {
      rest_ms(100);
      for (int i = 0; i < SLEEPERS; i++) kill(pids[i], SIGSTOP);
      rest_ms(1);
      for (int i = 0; i < SLEEPERS; i++) kill(pids[i], SIGCONT);
    }
  rest_ms(600);
  moved();
  *over = 1;
  for (int i = 0; i < SLEEPERS; i++) ends_well(pids[i]);
  CHECK(kill(stopper, SIGKILL) == 0 && waitpid(stopper, 0, 0) == stopper);
  right();
}
