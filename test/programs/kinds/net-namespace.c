// refused: a socket in a network namespace of its own
#include "kind.h"
#include <sched.h>
#include <sys/socket.h>

int main(void) {
  CHECK(unshare(CLONE_NEWNET) == 0);
  CHECK(socket(AF_INET, SOCK_DGRAM, 0) >= 0);
  moved();
  right();
}
