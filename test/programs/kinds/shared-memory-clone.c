// refused: memory that another process has too
#include "kind.h"
#include <sched.h>

static char stack[65536];
static volatile int go;
static int other(void *unused) {
  while (!go) rest_ms(20);
  return 0;
}

int main(void) {
  pid_t pid = clone(other, stack + sizeof stack, CLONE_VM | CLONE_SIGHAND | SIGCHLD, 0);
  CHECK(pid > 0);
  moved();
  go = 1;
  ends_well(pid);
  right();
}
