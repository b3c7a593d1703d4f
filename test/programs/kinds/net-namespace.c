// refused: a net namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  CHECK(unshare(CLONE_NEWNET) == 0);
  moved();
  right();
}
