// refused: a descriptor of another user namespace
#include "spaces.h"

int main(void) {
  int fd = left_space("user", CLONE_NEWUSER);
  moved();
  CHECK(fcntl(fd, F_GETFD) >= 0);
  right();
}
