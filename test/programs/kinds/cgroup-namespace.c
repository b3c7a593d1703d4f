// refused: a cgroup namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  CHECK(unshare(CLONE_NEWCGROUP) == 0);
  moved();
  right();
}
