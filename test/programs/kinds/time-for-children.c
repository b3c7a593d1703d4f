// refused: a time namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  CHECK(unshare(CLONE_NEWTIME) == 0);
  moved();
  right();
}
