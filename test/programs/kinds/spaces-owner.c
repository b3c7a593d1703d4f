// refused: a namespace that belongs to a user namespace of its own
// A UTS namespace that was made in a user namespace, entered without entering that.
#include "spaces.h"

static int step[2];
static void other(void) {
  CHECK(unshare(CLONE_NEWUSER | CLONE_NEWUTS) == 0 && write(step[1], "x", 1) == 1);
  until_told(0);
}

int main(void) {
  char c;
  CHECK(pipe(step) == 0);
  pid_t pid = child(other);
  CHECK(read(step[0], &c, 1) == 1);
  int fd = open_space("uts", pid);
  CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, 0, 0) == pid);
  CHECK(setns(fd, CLONE_NEWUTS) == 0);
  moved();
  right();
}
