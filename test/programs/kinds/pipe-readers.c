// Two reading descriptions of one pipe, and a writing one: what waits in the pipe is there once.
#include "kind.h"

int main(void) {
  int fds[2];
  char path[64], got[32];
  CHECK(pipe(fds) == 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
  int second = open(path, O_RDONLY | O_NONBLOCK);
  CHECK(second >= 0);
  CHECK(write(fds[1], "once", 4) == 4);
  moved();
  CHECK(read(second, got, sizeof got) == 4 && memcmp(got, "once", 4) == 0);
  CHECK(read(second, got, sizeof got) == -1 && errno == EAGAIN);
  CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0);
  CHECK(write(fds[1], "more", 4) == 4 && read(fds[0], got, sizeof got) == 4);
  close(fds[1]);
  CHECK(read(fds[0], got, sizeof got) == 0);
  right();
}
