// refused: a namespace that belongs to a user namespace of its own
// A UTS namespace that was made in a user namespace, entered without entering that.
#include "spaces.h"

int main(void) {
  CHECK(setns(left_space("uts", CLONE_NEWUSER | CLONE_NEWUTS), CLONE_NEWUTS) == 0);
  moved();
  right();
}
