// refused: a PID namespace of its own
// A process in a PID namespace of its own, below the domain's.
#include "kind.h"
#include <sched.h>

static void first(void) { CHECK(getpid() == 1); until_told(0); }

int main(void) {
  CHECK(unshare(CLONE_NEWPID) == 0);
  pid_t c = child(first);
  moved();
  CHECK(kill(c, SIGTERM) == 0);
  ends_well(c);
  right();
}
