// refused: a user namespace
#include "kind.h"
#include <sched.h>

int main(void) {
  CHECK(unshare(CLONE_NEWUSER) == 0);
  moved();
  right();
}
