// refused: a socket in a network namespace of its own
// Made in another network namespace by who has come back from there.
#include "spaces.h"
#include <sys/socket.h>

int main(void) {
  int own = open("/proc/self/ns/net", O_RDONLY);
  CHECK(own >= 0 && unshare(CLONE_NEWNET) == 0);
  int other = open("/proc/self/ns/net", O_RDONLY);
  int s = socket(AF_INET, SOCK_STREAM, 0);
  CHECK(other >= 0 && s >= 0 && setns(own, CLONE_NEWNET) == 0);
  moved();
  CHECK(listen(s, 1) == 0);
  right();
}
