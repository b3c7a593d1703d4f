// refused: a descriptor of another user namespace
#include "kind.h"
#include <sched.h>
#include "spaces.h"

static int step[2];
static void other(void) {
  CHECK(unshare(CLONE_NEWUSER) == 0 && write(step[1], "x", 1) == 1);
  until_told(0);
}

int main(void) {
  char c;
  CHECK(pipe(step) == 0);
  pid_t pid = child(other);
  CHECK(read(step[0], &c, 1) == 1);
  int fd = open_space("user", pid);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, 0, 0) == pid);
  moved();
  CHECK(fcntl(fd, F_GETFD) >= 0);
  right();
}
