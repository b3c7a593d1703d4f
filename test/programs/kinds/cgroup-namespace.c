// A cgroup namespace of a process's own, with the domain's cgroup as its root.
#include "spaces.h"
#include "text.h"

static void nested(void) {
  CHECK(unshare(CLONE_NEWCGROUP) == 0);
  done();
  until_told(0);
  holds("/proc/self/cgroup", "0::/\n");
}

int main(void) {
  CHECK(pipe(step) == 0);
  pid_t a = child(nested);
  wait_done();
  int fd = open_space("cgroup", a);
  moved();
  CHECK(!same_space("cgroup", 1, a) && same_space("cgroup", 1, getpid()) && is_space(fd, "cgroup", a));
  CHECK(kill(a, SIGTERM) == 0);
  ends_well(a);
  right();
}
