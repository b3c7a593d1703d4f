// refused: a pid namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  CHECK(unshare(CLONE_NEWPID) == 0);
  moved();
  right();
}
