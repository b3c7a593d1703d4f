// refused: system calls that a program has given back to it
// late
// Whoever looks from outside is told of it only when the program is traced.
#include "kind.h"
#include <sys/prctl.h>

static volatile char selector;
static volatile sig_atomic_t caught;
static void note(int signal) {
  selector = 0;
  caught = 1;
}

int main(void) {
  CHECK(signal(SIGSYS, note) != SIG_ERR);
  CHECK(prctl(59, 1, 0, 0, &selector) == 0);
  moved();
  selector = 1;
  getppid();
  CHECK(selector == 0 && caught);
  right();
}
