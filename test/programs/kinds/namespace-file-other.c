// refused: a descriptor of another uts namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  int own = open("/proc/self/ns/uts", O_RDONLY);
  CHECK(own >= 0 && unshare(CLONE_NEWUTS) == 0);
  int other = open("/proc/self/ns/uts", O_RDONLY);
  CHECK(other >= 0 && setns(own, CLONE_NEWUTS) == 0);
  moved();
  CHECK(setns(other, CLONE_NEWUTS) == 0);
  right();
}
